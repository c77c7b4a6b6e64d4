"""Datasets over HTTP: access, names, file counts and deletion."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.core.exceptions import ValidationError

from files.models import Chunk, ChunkVector, Dataset, DatasetFile, File
from tenants.models import Tenant
from tests import factories
from tests.wire import envelope

State = DatasetFile.State


@pytest.fixture
def other(gateway, world):
    """An HTTP client with another key of the same tenant, to which nothing is granted."""
    key = factories.key(world.tenant)
    headers = {"authorization": f"Bearer {key.plain}"}
    with httpx.Client(base_url=gateway.base_url, headers=headers, timeout=30) as client:
        yield client


def made(http, **fields) -> dict:
    response = http.post("/datasets", json={"name": factories.unique("notes"), **fields})
    assert response.status_code == 200, response.text
    return response.json()


def test_created_dataset_is_visible_only_to_its_key(http, other, world):
    dataset = made(http, name="handbook", title="The handbook", metadata={"team": "people"})
    assert dataset["id"].startswith("ds_")
    assert (dataset["name"], dataset["title"], dataset["metadata"]) == (
        "handbook", "The handbook", {"team": "people"}
    )  # fmt: skip
    row = Dataset.objects.get(pk=dataset["id"])
    assert row.tenant_id == world.tenant.pk
    assert list(row.grants.values_list("key_id", flat=True)) == [world.key.row.pk]
    at = f"/datasets/{dataset['id']}"
    assert http.get(at).json() == dataset
    assert http.get("/datasets").json()["data"] == [dataset]
    assert other.get("/datasets").json()["data"] == []
    hidden = envelope(other.get(at), 404, "dataset_not_found")["message"]
    unknown = envelope(other.get("/datasets/ds_none"), 404, "dataset_not_found")["message"]
    assert hidden.replace(dataset["id"], "X") == unknown.replace("ds_none", "X")
    for method in ("post", "delete"):
        envelope(other.request(method, at, json={}), 404, "dataset_not_found")
    assert http.get(at).json() == dataset


def test_ungranted_and_hidden_datasets_are_404(http, world, upstream):
    stranger = factories.world(upstream.base_url)
    theirs = factories.dataset(stranger.tenant, keys=[stranger.key.row])
    hidden = factories.dataset(world.tenant, keys=[world.key.row], hidden=True)
    for dataset in (theirs, hidden):
        envelope(http.get(f"/datasets/{dataset.pk}"), 404, "dataset_not_found")
        envelope(http.delete(f"/datasets/{dataset.pk}"), 404, "dataset_not_found")
    assert http.get("/datasets").json()["data"] == []
    assert Dataset.objects.filter(pk__in=[theirs.pk, hidden.pk]).count() == 2


@pytest.mark.parametrize("name", ["handbook", "Was jeder wissen muß!", "日本", "a/b", "x" * 200])
def test_taken_or_invalid_name_becomes_the_title(http, name):
    first, second = made(http, name=name), made(http, name=name)
    fit = name == "handbook"
    assert (first["name"] == name) == fit
    assert first["title"] == ("" if fit else name)
    assert second["title"] == name
    assert len({first["name"], second["name"]}) == 2
    for dataset in (first, second):
        row = Dataset.objects.get(pk=dataset["id"])
        row.full_clean()


def test_concurrent_datasets_of_one_name_are_all_created(http):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: made(http, name="handbook"), range(8)))
    assert len({dataset["name"] for dataset in found}) == 8
    assert "handbook" in {dataset["name"] for dataset in found}


def test_dataset_is_found_by_its_name(http):
    dataset = made(http, name="handbook")
    made(http, name="other")
    assert http.get("/datasets?name=handbook").json()["data"] == [dataset]
    assert http.get("/datasets?name=none").json()["data"] == []
    assert http.get("/datasets?name=%00").json()["data"] == []


def test_lists_are_paginated_in_both_orders(http):
    ids = [made(http)["id"] for _ in range(5)]

    def listed(query: str) -> tuple[list[str], bool]:
        page = http.get(f"/datasets?{query}").json()
        found = [dataset["id"] for dataset in page["data"]]
        assert (page["first_id"], page["last_id"]) == ((found[0], found[-1]) if found else (None, None))
        return found, page["has_more"]

    assert listed("order=asc") == (ids, False)
    assert listed("") == (ids[::-1], False)
    assert listed("order=asc&limit=2") == (ids[:2], True)
    assert listed(f"order=asc&limit=2&after={ids[1]}") == (ids[2:4], True)
    assert listed(f"order=asc&limit=2&after={ids[3]}") == (ids[4:], False)
    assert listed(f"limit=2&after={ids[3]}") == ([ids[2], ids[1]], True)
    assert listed(f"order=asc&limit=2&before={ids[4]}") == (ids[2:4], True)
    assert listed(f"limit=2&before={ids[0]}") == ([ids[2], ids[1]], True)
    assert listed(f"order=asc&after={ids[0]}&before={ids[3]}") == (ids[1:3], False)
    for query, param in (
        ("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("order=up", "order"),
        ("after=ds_none", "after"), ("before=ds_none", "before"), ("after=%00", "after"),
    ):  # fmt: skip
        assert envelope(http.get(f"/datasets?{query}"), 400, "invalid_value")["param"] == param


def test_files_are_counted_by_state(http, world):
    dataset = factories.dataset(world.tenant, keys=[world.key.row])
    for state in (State.READY, State.READY, State.FAILED, State.PROCESSING):
        factories.dataset_file(dataset, state=state, file=factories.file(world.tenant, bytes=7))
    shown = http.get(f"/datasets/{dataset.pk}").json()
    assert shown["bytes"] == 28
    assert shown["file_counts"] == {
        "uploaded": 0, "processing": 1, "ready": 2, "failed": 1, "cancelled": 0, "total": 4,
    }  # fmt: skip
    assert http.get("/datasets").json()["data"] == [shown]


def test_embedding_is_the_tenants_default_or_one_the_key_may_call(http, world):
    mine = factories.catalog(world.provider, "mine", capabilities=["embed"])
    factories.catalog(world.provider, "default", capabilities=["embed"])
    factories.catalog(world.provider, "not-mine", capabilities=["embed"])
    draft = factories.catalog(world.provider, "draft", capabilities=["embed"], published=False)
    factories.grant(world.key.row, mine, draft)
    assert made(http)["embedding"] is None
    Tenant.objects.filter(pk=world.tenant.pk).update(embedding="default")
    assert made(http)["embedding"] == "default"
    assert made(http, embedding=None)["embedding"] is None
    assert made(http, embedding="")["embedding"] is None
    for name in ("mine", "default"):
        assert made(http, embedding=name)["embedding"] == name
    before = Dataset.objects.filter(tenant=world.tenant).count()
    for name in ("not-mine", "draft", "fast", "no-such-model"):
        refused = envelope(http.post("/datasets", json={"name": "a", "embedding": name}), 400)
        assert (refused["code"], refused["param"]) == ("invalid_value", "embedding")
    assert Dataset.objects.filter(tenant=world.tenant).count() == before


def test_another_embedding_is_indexed_while_the_old_one_is_searched(http, world):
    factories.grant(world.key.row, factories.catalog(world.provider, "mine", capabilities=["embed"]))
    dataset = factories.dataset(world.tenant, keys=[world.key.row])
    at = f"/datasets/{dataset.pk}"
    assert http.get(at).json()["index_status"] == "ready"
    changed = http.post(at, json={"embedding": "mine"}).json()
    assert changed["embedding"] == "mine"
    row = Dataset.objects.get(pk=dataset.pk)
    assert (row.embedding, row.indexed_embedding) == ("mine", "")
    assert changed["index_status"] == "building"
    Dataset.objects.filter(pk=dataset.pk).update(index_error="The model does not answer.")
    assert http.get(at).json()["index_status"] == "failed"
    envelope(http.post(at, json={"embedding": "not-mine"}), 400, "invalid_value")
    # Submitting the current value is allowed, even if another client set it.
    Dataset.objects.filter(pk=dataset.pk).update(embedding="another")
    assert http.post(at, json={"embedding": "another", "title": "T"}).json()["title"] == "T"


def test_only_submitted_fields_change(http):
    dataset = made(http, title="Old", metadata={"a": "b"})
    at = f"/datasets/{dataset['id']}"
    for body, changed in (
        ({}, {}), ({"title": "New"}, {"title": "New"}),
        ({"metadata": None, "title": None}, {"title": "", "metadata": {}}),
    ):  # fmt: skip
        now = http.post(at, json=body).json()
        # To change it is to use it.
        assert now.pop("last_active_at") >= dataset["last_active_at"]
        assert {**dataset, **now} == {**dataset, **changed}
    assert http.post(at, json={"name": "renamed"}).json()["name"] == "renamed"


def test_only_client_created_datasets_can_be_renamed(http, world):
    made_by_client = made(http)["id"]
    assert Dataset.objects.get(pk=made_by_client).by_client
    operators = factories.dataset(world.tenant, "handbook", keys=[world.key.row])
    at = f"/datasets/{operators.pk}"
    refused = envelope(http.post(at, json={"name": "mine", "title": "Mine"}), 400, "invalid_value")
    assert refused["param"] == "name"
    assert http.post(at, json={"name": "handbook", "title": "Ours"}).json()["title"] == "Ours"
    assert http.post(f"/vector_stores/{operators.pk}", json={"name": "Mine"}).json()["name"] == "Mine"
    assert (Dataset.objects.get(pk=operators.pk).name, operators.by_client) == ("handbook", False)


def test_taken_name_is_409_without_retry(http):
    first, second = made(http), made(http)
    refused = http.post(f"/datasets/{second['id']}", json={"name": first["name"]})
    assert envelope(refused, 409, "name_taken")["param"] == "name"
    assert refused.headers["x-should-retry"] == "false"
    assert http.get(f"/datasets/{second['id']}").json() == second


def test_names_of_conversation_datasets_are_reserved(http, world):
    for route in ("/datasets", "/vector_stores"):
        for wanted in ("conv_1", "-CONV_1", "conv_" + "x" * 100):
            found = http.post(route, json={"name": wanted}).json()["id"]
            row = Dataset.objects.get(pk=found)
            assert row.name.startswith("dataset-conv_")
            assert row.title == wanted
            envelope(http.post(f"/datasets/{found}", json={"name": "conv_1"}), 400, "invalid_value")
    with pytest.raises(ValidationError, match="conversations"):
        factories.dataset(world.tenant, "conv_1")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"), ({"name": 5}, "name"), ({"name": "x" * 257}, "name"), ({"name": "a", "title": []}, "title"),
        ({"name": "a", "embedding": 1}, "embedding"), ({"name": "a", "metadata": []}, "metadata"),
        ({"name": "a", "metadata": {"a": 1}}, "metadata.a"),
        ({"name": "a", "metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"name": "a", "metadata": {"x" * 65: ""}}, "metadata"),
        ({"name": "a", "metadata": {"x": "y" * 513}}, "metadata"),
    ],
)  # fmt: skip
def test_invalid_dataset_names_the_field(http, body, param):
    assert envelope(http.post("/datasets", json=body), 400)["param"] == param


def test_dataset_is_deleted_with_only_the_files_uploaded_into_it(http, world):
    dataset, kept = (factories.dataset(world.tenant, keys=[world.key.row]) for _ in range(2))
    agent = world.support
    agent.datasets.add(dataset)
    uploaded = factories.dataset_file(dataset)
    factories.chunk(uploaded, vector=[1.0, 0.0])
    attached = factories.dataset_file(dataset, file=factories.file(world.tenant, origin=File.Origin.FILES))
    shared = factories.dataset_file(dataset)
    elsewhere = factories.dataset_file(kept, file=shared.file)
    factories.chunk(elsewhere, vector=[1.0, 0.0])
    gone = http.delete(f"/datasets/{dataset.pk}")
    assert gone.json() == {"id": dataset.pk, "object": "dataset.deleted", "deleted": True}
    envelope(http.get(f"/datasets/{dataset.pk}"), 404, "dataset_not_found")
    envelope(http.delete(f"/datasets/{dataset.pk}"), 404, "dataset_not_found")
    left = File.objects.filter(pk__in=[uploaded.file_id, attached.file_id, shared.file_id])
    assert set(left) == {attached.file, shared.file}
    assert list(DatasetFile.objects.filter(tenant=world.tenant)) == [elsewhere]
    assert set(Chunk.objects.filter(tenant=world.tenant).values_list("dataset_id", flat=True)) == {kept.pk}
    assert ChunkVector.objects.filter(tenant=world.tenant).count() == 1
    assert list(agent.datasets.all()) == []
