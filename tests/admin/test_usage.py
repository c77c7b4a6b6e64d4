"""The admin of usage: filters, search, detail pages, and constant cost on a table of any size."""

import time
import uuid
from datetime import UTC, datetime
from itertools import count

import pytest

from gtapi.ids import uuid7, uuid7_floor
from tenants.models import NO_KEY, UsageRecord
from tests import factories
from tests.admin.conftest import queries, text, url

DAY = 86_400
#: UUIDv7 ids of the same millisecond are unordered: each record gets a later time than the one before.
ticks = count()


def record(world, *, age: float = 0, **values) -> UsageRecord:
    """A stored record that is `age` seconds old and newer than earlier ones of that age."""
    moment = time.time() - age + next(ticks) * 0.002
    identity = uuid.UUID(int=uuid7_floor(moment).int | uuid7().int & ((1 << 80) - 1))
    usage = UsageRecord(
        id=identity,
        created_at=datetime.fromtimestamp(moment, UTC),
        tenant_id=world.tenant.pk,
        **{
            "request_id": f"req_{identity.hex}", "key_id": world.key.row.pk, "route": "/chat/completions", "model": "support", "status": 200,
            **values,
        },
    )  # fmt: skip
    UsageRecord.objects.bulk_create([usage])
    return usage


def listed(client, world, **query) -> list:
    response = client.get(url("tenants_usagerecord_changelist"), {"tenant": world.tenant.pk, **query})
    assert response.status_code == 200
    return [row.pk for row in response.context["cl"].result_list]


def test_list_shows_the_last_seven_days_newest_first(operator, world):
    old, new, newest = record(world, age=20 * DAY), record(world, age=60), record(world)
    assert listed(operator, world) == [newest.pk, new.pk]
    assert listed(operator, world, period="30d") == [newest.pk, new.pk, old.pk]
    assert listed(operator, world, period="all") == [newest.pk, new.pk, old.pk]


def test_filters(operator, world):
    other = factories.key(world.tenant)
    fine = record(world)
    refused = record(world, status=403)
    fault = record(world, status=502, model="fast")
    left = record(world, status=499)
    theirs = record(world, key_id=other.row.pk)
    assert listed(operator, world, outcome="ok") == [theirs.pk, fine.pk]
    assert listed(operator, world, outcome="failed") == [fault.pk, refused.pk]
    assert listed(operator, world, outcome="server") == [fault.pk]
    assert listed(operator, world, outcome="client") == [refused.pk]
    assert listed(operator, world, outcome="left") == [left.pk]
    assert listed(operator, world, model="fast") == [fault.pk]
    assert listed(operator, world, key=other.row.pk) == [theirs.pk]
    assert theirs.pk not in listed(operator, world, key=world.key.row.pk)


@pytest.mark.parametrize("query", [{"tenant": "x"}, {"key": "x'"}, {"period": "no"}, {"outcome": "no"}])
def test_invalid_filter_is_ignored(operator, query):
    assert operator.get(url("tenants_usagerecord_changelist"), query).status_code == 200


def test_request_id_is_found_at_any_age(operator, world):
    old = record(world, age=200 * DAY)
    record(world)
    response = operator.get(url("tenants_usagerecord_changelist"), {"q": f" {old.request_id} "})
    assert [row.pk for row in response.context["cl"].result_list] == [old.pk]


def test_search_for_a_key_finds_its_usage(operator, world):
    own_usage = record(world)
    record(world, key_id=factories.key(world.tenant).row.pk)
    response = operator.get(url("tenants_usagerecord_changelist"), {"q": world.key.plain})
    assert [row.pk for row in response.context["cl"].result_list] == [own_usage.pk]


def test_detail_page_shows_every_fact(operator, world):
    failed = record(
        world,
        status=502,
        error_code="upstream_error",
        error_detail="main: answered 503",
        provider="main",
        raw_model="raw-llama",
        agent_version=3,
        input_tokens=1234,
        latency_ms=4321,
        estimated=True,
        audio_ms=2500,
    )
    page = text(operator.get(url("tenants_usagerecord_change", failed.pk)))
    for expected in (
        failed.request_id, world.tenant.name, world.key.row.name, "502 failed", "upstream_error",
        "main: answered 503", "raw-llama", "1234", "4,321 ms", "the gateway (the provider reported none)",
        "2.5 s of audio transcribed",
    ):  # fmt: skip
        assert expected in page, expected


def test_record_outlives_its_key_and_tenant(operator, world):
    usage = record(world)
    tenant, key = world.tenant.pk, world.key.row.pk
    world.tenant.delete()
    page = text(operator.get(url("tenants_usagerecord_change", usage.pk)))
    assert f"{tenant} (deleted)" in page
    assert f"{key} (deleted)" in page
    response = operator.get(url("tenants_usagerecord_changelist"), {"q": usage.request_id})
    assert f"tenant {tenant}" in text(response)


def test_usage_without_a_key_is_attributed_to_an_operator(operator, world):
    without_key, with_key = record(world, key_id=NO_KEY, route="/embeddings"), record(world)
    label = "an operator, without a key"
    page = operator.get(url("tenants_usagerecord_changelist"), {"tenant": world.tenant.pk})
    rows = page.content.decode().partition("result_list")[2]
    assert (rows.count(label), rows.count("key 0")) == (1, 0)
    assert label in text(operator.get(url("tenants_usagerecord_change", without_key.pk)))
    assert label not in text(operator.get(url("tenants_usagerecord_change", with_key.pk)))
    assert listed(operator, world, key=NO_KEY) == [without_key.pk]
    assert listed(operator, world, key=world.key.row.pk) == [with_key.pk]


def test_usage_of_processing_links_to_the_file(operator, world, dataset):
    dataset_file = factories.dataset_file(dataset, filename="handbook.pdf")
    processed = record(world, request_id=dataset_file.file_id, route="/embeddings")
    page = operator.get(url("tenants_usagerecord_change", processed.pk))
    link = f"{url('files_datasetfile_changelist')}?q={dataset_file.file_id}"
    assert f'href="{link}"' in page.content.decode()
    assert f"{dataset_file.file_id} was processed" in text(page)
    assert "handbook.pdf" in text(operator.get(link))


@pytest.mark.parametrize("hidden", [False, True])
def test_usage_of_indexing_links_to_the_files_of_the_dataset(operator, world, hidden):
    dataset = factories.dataset(world.tenant, hidden=hidden)
    factories.dataset_file(dataset, filename="handbook.pdf")
    factories.dataset_file(factories.dataset(world.tenant), filename="elsewhere.pdf")
    indexed = record(world, request_id=dataset.pk, route="/embeddings")
    page = operator.get(url("tenants_usagerecord_change", indexed.pk))
    link = f"{url('files_datasetfile_changelist')}?dataset={dataset.pk}"
    assert f'href="{link}"' in page.content.decode()
    assert f"{dataset.pk} was indexed" in text(page)
    files = text(operator.get(link))
    assert "handbook.pdf" in files
    assert "elsewhere.pdf" not in files
    assert ("a conversation" if hidden else dataset.name) in files


@pytest.mark.parametrize(
    ("values", "counted_by"),
    [
        ({"provider": "main"}, "Token counts the provider"),
        ({"provider": "main", "estimated": True}, "Token counts the gateway"),
        ({"route": "/models"}, "Token counts -"),
    ],
)
def test_detail_page_says_who_counted_the_tokens(operator, world, values, counted_by):
    usage = record(world, **values)
    assert counted_by in text(operator.get(url("tenants_usagerecord_change", usage.pk)))


def test_records_cannot_be_added_changed_or_deleted(operator, world):
    usage = record(world)
    assert operator.get(url("tenants_usagerecord_add")).status_code == 403
    assert operator.post(url("tenants_usagerecord_add"), {"route": "x"}).status_code == 403
    assert operator.post(url("tenants_usagerecord_change", usage.pk), {"route": "x"}).status_code == 403
    assert operator.post(url("tenants_usagerecord_delete", usage.pk), {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [str(usage.pk)], "post": "yes"}
    operator.post(url("tenants_usagerecord_changelist"), data)
    assert UsageRecord.objects.get(pk=usage.pk).route == "/chat/completions"


def test_list_counts_nothing_and_costs_the_same_for_any_number_of_rows(operator, world):
    record(world)
    address = url("tenants_usagerecord_changelist", tenant=world.tenant.pk)
    operator.get(address)
    with queries() as one:
        operator.get(address)
    for _ in range(19):
        record(world)
    with queries() as twenty:
        response = operator.get(address)
    assert len(response.context["cl"].result_list) == 20
    assert len(twenty) == len(one)
    with queries() as with_facets:
        operator.get(f"{address}&_facets=True")
    sent = [query["sql"] for query in (*twenty, *with_facets)]
    assert not [sql for sql in sent if "COUNT(" in sql.upper()]


def test_list_is_paginated(operator, world):
    for _ in range(51):
        record(world)
    first = operator.get(url("tenants_usagerecord_changelist"), {"tenant": world.tenant.pk})
    second = operator.get(url("tenants_usagerecord_changelist"), {"tenant": world.tenant.pk, "p": 2})
    assert (len(first.context["cl"].result_list), len(second.context["cl"].result_list)) == (50, 1)
