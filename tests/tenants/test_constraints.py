"""Constraints and triggers of the database, which hold for forms, commands and SQL alike."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from files.models import Dataset, DatasetGrant
from inference.models import Agent, AgentVersion, CatalogEntry, Grant, InferenceTarget, Provider
from tenants.models import InferenceKey
from tests import factories

pytestmark = pytest.mark.django_db

URL = "http://127.0.0.1:9/v1"


@pytest.fixture
def ours() -> factories.World:
    return factories.world(URL)


@pytest.fixture
def theirs() -> factories.World:
    return factories.world(URL)


def refused(change) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        change()


def test_agent_and_catalog_entry_cannot_share_a_name(ours):
    refused(lambda: Agent.objects.create(tenant=ours.tenant, name="fast", catalog=ours.fast))
    refused(lambda: InferenceTarget.objects.filter(pk=ours.support.pk).update(name="fast"))


def test_two_tenants_can_use_the_same_name(ours, theirs):
    assert ours.fast.name == theirs.fast.name


def test_grant_cannot_connect_two_tenants(ours, theirs):
    refused(lambda: Grant.objects.create(key=ours.key.row, target_id=theirs.fast.pk))
    refused(lambda: Grant.objects.filter(key=ours.key.row).update(key=theirs.key.row))


def test_catalog_entry_cannot_use_another_tenants_provider(ours, theirs):
    refused(lambda: CatalogEntry.objects.filter(pk=ours.fast.pk).update(provider=theirs.provider))


def test_agent_cannot_use_another_tenants_catalog_entry_or_dataset(ours, theirs):
    dataset = Dataset.objects.create(tenant=theirs.tenant, name="secrets")
    refused(lambda: Agent.objects.filter(pk=ours.support.pk).update(catalog=theirs.fast))
    refused(lambda: ours.support.datasets.add(dataset))
    refused(lambda: DatasetGrant.objects.create(key=ours.key.row, dataset=dataset))


@pytest.mark.parametrize("model", [InferenceKey, Provider, InferenceTarget])
def test_row_cannot_move_to_another_tenant(ours, theirs, model):
    refused(lambda: model.objects.filter(tenant=ours.tenant).update(tenant=theirs.tenant))


def test_revocation_is_final(ours):
    assert ours.key.row.revoke()
    assert not ours.key.row.revoke()
    keys = InferenceKey.objects.filter(pk=ours.key.row.pk)
    refused(lambda: keys.update(revoked_at=None))
    refused(lambda: keys.update(revoked_at=timezone.now()))
    with pytest.raises(ValidationError):
        ours.key.row.rotate()


def test_published_version_cannot_be_changed(ours):
    refused(lambda: AgentVersion.objects.filter(agent=ours.support).update(instructions="Something else."))
    refused(lambda: AgentVersion.objects.filter(agent=ours.support).update(number=7))


def test_catalog_entry_in_use_is_deleted_only_with_its_tenant(ours):
    with pytest.raises(IntegrityError):
        ours.fast.delete()
    with pytest.raises(IntegrityError):
        ours.provider.delete()
    ours.tenant.delete()
    assert not AgentVersion.objects.filter(agent_id=ours.support.pk).exists()
