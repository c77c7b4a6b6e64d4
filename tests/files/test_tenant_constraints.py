"""Database constraints refuse rows of the files tables that refer to another tenant."""

import pytest
from django.db import IntegrityError, connection, transaction

from files.models import Chunk, ChunkVector, Dataset, DatasetFile, File, FileBatch
from inference.models import Conversation
from tests import factories

pytestmark = pytest.mark.django_db


def refused(change) -> None:
    def changed() -> None:
        with transaction.atomic():
            change()
            connection.check_constraints()

    with pytest.raises(IntegrityError):
        changed()


@pytest.fixture
def ours():
    return factories.tenant()


@pytest.fixture
def theirs():
    return factories.tenant()


def test_file_cannot_be_attached_to_another_tenants_dataset(ours, theirs):
    file, dataset = factories.file(ours), factories.dataset(theirs)
    refused(lambda: DatasetFile.objects.create(tenant=ours, dataset=dataset, file=file))
    refused(lambda: DatasetFile.objects.create(tenant=theirs, dataset=dataset, file=file))
    refused(lambda: FileBatch.objects.create(tenant=ours, dataset=dataset))


def test_file_cannot_belong_to_another_tenants_key(ours, theirs):
    refused(lambda: factories.file(ours, key=factories.key(theirs).row))


def test_other_tenants_key_cannot_request_reprocessing(ours, theirs):
    key, dataset = factories.key(theirs).row, factories.dataset(ours)
    dataset_file = factories.dataset_file(dataset)
    refused(lambda: factories.dataset_file(dataset, requested_by=key))
    refused(lambda: DatasetFile.objects.filter(pk=dataset_file.pk).update(requested_by=key))
    refused(lambda: Dataset.objects.filter(pk=dataset.pk).update(embedding_requested_by=key))
    refused(lambda: factories.dataset(ours, embedding_requested_by=key))


def test_rows_cannot_move_to_another_tenant(ours, theirs):
    dataset_file = factories.dataset_file(factories.dataset(ours))
    refused(lambda: File.objects.filter(pk=dataset_file.file_id).update(tenant=theirs))
    refused(lambda: DatasetFile.objects.filter(pk=dataset_file.pk).update(tenant=theirs))
    refused(lambda: Dataset.objects.filter(pk=dataset_file.dataset_id).update(tenant=theirs))


def test_chunk_has_the_tenant_and_dataset_of_its_file(ours, theirs):
    dataset_file, other = factories.dataset_file(factories.dataset(ours)), factories.dataset(ours)
    refused(lambda: factories.chunk(dataset_file, tenant=theirs))
    refused(lambda: factories.chunk(dataset_file, dataset=other))
    chunk = factories.chunk(dataset_file, vector=[1.0, 0.0])
    refused(lambda: ChunkVector.objects.filter(chunk=chunk).update(tenant=theirs))


def test_conversation_cannot_have_another_tenants_files(ours, theirs):
    key = factories.key(ours).row
    refused(lambda: Conversation.objects.create(tenant=ours, key=key, dataset=factories.dataset(theirs)))


def test_chunks_and_vectors_are_deleted_with_their_file(ours):
    dataset_file = factories.dataset_file(factories.dataset(ours))
    factories.chunk(dataset_file, vector=[1.0, 0.0])
    dataset_file.delete()
    connection.check_constraints()
    assert not Chunk.objects.filter(tenant=ours).exists()
    assert not ChunkVector.objects.filter(tenant=ours).exists()


def test_everything_is_deleted_with_the_tenant(ours):
    factories.chunk(factories.dataset_file(factories.dataset(ours)), vector=[1.0, 0.0])
    ours.delete()
    connection.check_constraints()
    assert not Chunk.objects.filter(tenant=ours.pk).exists()
