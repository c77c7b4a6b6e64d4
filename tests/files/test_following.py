"""The datasets of conversations follow what their tenant embeds with, while files come into them."""

from concurrent.futures import ThreadPoolExecutor

from django.db import connection, connections, transaction

from files import uploads
from files.models import DatasetFile
from tenants.models import Tenant
from tests import factories
from tests.files.test_removing_datasets import SOON, waits


def change(tenant: Tenant, pids: list[int], **fields: str) -> None:
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                pids.append(cursor.fetchone()[0])
            Tenant.objects.filter(pk=tenant.pk).update(**fields)
    finally:
        connections.close_all()


def test_a_tenant_is_renamed_and_embeds_otherwise_while_a_file_comes():
    tenant, slug = factories.tenant(), factories.unique("renamed")
    dataset = factories.dataset(tenant, hidden=True)
    file = factories.file(tenant)
    pids: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            # What an upload does at its end; the change comes in between.
            uploads.hold_dataset(dataset)
            changing = pool.submit(change, tenant, pids, slug=slug, embedding="fast")
            waits(changing, pids)
            DatasetFile.objects.create(tenant=tenant, dataset=dataset, file=file)
        changing.result(SOON)
    assert dataset.places.get().file == file
    dataset.refresh_from_db()
    assert dataset.embedding == "fast"
    assert Tenant.objects.get(pk=tenant.pk).slug == slug
