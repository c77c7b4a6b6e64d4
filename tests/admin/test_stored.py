"""The admin of stored files."""

from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from files.models import DatasetFile, File
from tests import factories
from tests.admin.conftest import queries, text, url


def listed(client, world, **query) -> list[str]:
    response = client.get(url("files_file_changelist"), {"tenant__id__exact": world.tenant.pk, **query})
    assert response.status_code == 200
    return [row.pk for row in response.context["cl"].result_list]


@pytest.mark.django_db
def test_filter_finds_unused_files(operator, world, dataset):
    file = factories.dataset_file(dataset).file
    loose = factories.file(world.tenant, origin=File.Origin.FILES, filename="loose.pdf")
    assert listed(operator, world) == [loose.pk, file.pk]
    assert listed(operator, world, use="unused") == [loose.pk]
    assert listed(operator, world, use="used") == [file.pk]
    assert listed(operator, world, origin__exact="files") == [loose.pk]
    assert listed(operator, world, q=loose.sha256) == [loose.pk]


@pytest.mark.django_db
def test_list_costs_the_same_queries_for_any_number_of_rows(operator, world, dataset):
    address = url("files_file_changelist", tenant__id__exact=world.tenant.pk)
    factories.dataset_file(dataset)
    operator.get(address)
    with queries() as few:
        operator.get(address)
    for number in range(10):
        file = factories.file(world.tenant, key=world.key.row if number % 2 else None)
        factories.dataset_file(dataset, file=file)
    with queries() as many:
        assert len(operator.get(address).context["cl"].result_list) == 11
    assert len(many) == len(few)


@pytest.mark.django_db
def test_detail_page_lists_the_datasets_of_the_file(operator, world, dataset):
    evil = "<script>alert(1)</script>.pdf"
    file = factories.file(world.tenant, key=world.key.row, filename=evil, bytes=1_400_000)
    dataset_file = factories.dataset_file(dataset, file=file)
    response = operator.get(url("files_file_change", file.pk))
    page_text = text(response)
    for words in ("1.4 MB", world.key.row.name, file.sha256, "handbook", "ready"):
        assert words in page_text
    html = response.content.decode()
    assert "<script>alert" not in html
    assert url("files_datasetfile_change", dataset_file.pk) in html
    loose = factories.file(world.tenant)
    assert "searches do not find it" in text(operator.get(url("files_file_change", loose.pk)))


@pytest.mark.django_db
def test_expiry_is_shown(operator, world):
    lasting = factories.file(world.tenant)
    later = timezone.now() + timedelta(days=2, minutes=1)
    short = factories.file(world.tenant, expires_at=later)
    page = text(operator.get(url("files_file_changelist"), {"tenant__id__exact": world.tenant.pk}))
    assert "in 2 days" in page
    assert "never" in page
    assert f"{later:%H:%M:%S} UTC" in text(operator.get(url("files_file_change", short.pk)))
    assert "Expires never" in text(operator.get(url("files_file_change", lasting.pk)))


def test_deletion_removes_the_file_from_datasets_and_storage(operator, dataset):
    dataset_file = factories.upload(dataset)
    operator.post(url("files_file_delete", dataset_file.file_id), {"post": "yes"})
    assert not File.objects.filter(pk=dataset_file.file_id).exists()
    assert not DatasetFile.objects.filter(pk=dataset_file.pk).exists()
    assert not default_storage.exists(dataset_file.file.path)
    other = factories.upload(dataset, b"Other words.")
    data = {"action": "delete_selected", "_selected_action": [other.file_id], "post": "yes"}
    operator.post(url("files_file_changelist"), data)
    assert not default_storage.exists(other.file.path)


def test_content_is_an_attachment_and_requires_the_permission(staff, dataset):
    dataset_file = factories.upload(dataset, b"<script>alert(1)</script>")
    address = url("files_file_content", dataset_file.file_id)
    assert staff("files.view_datasetfile").get(address).status_code == 403
    answer = staff("files.view_file").get(address)
    assert b"".join(answer.streaming_content) == b"<script>alert(1)</script>"
    assert answer["content-disposition"].startswith("attachment")
    assert answer["content-type"] == "application/octet-stream"


@pytest.mark.django_db
def test_file_is_read_only_and_each_page_requires_its_permission(operator, staff, dataset):
    file = factories.dataset_file(dataset).file
    assert operator.post(url("files_file_change", file.pk), {"filename": "x"}).status_code == 403
    assert operator.get(url("files_file_add")).status_code == 403
    assert staff("files.view_datasetfile").get(url("files_file_change", file.pk)).status_code == 403
    looking = staff("files.view_file")
    assert "handbook" not in text(looking.get(url("files_file_change", file.pk)))
    assert looking.post(url("files_file_delete", file.pk), {"post": "yes"}).status_code == 403
