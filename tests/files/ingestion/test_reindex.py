"""Reindexing: a new embedding model builds the next vector generation and then replaces the current one."""

import threading

import pytest

from files.ingestion import vector_generations
from files.models import Chunk, ChunkVector, Dataset
from tests import factories
from tests.answers import answer, error_body
from tests.files.ingestion.helpers import embeddings, ended
from tests.upstream import Wire
from tests.waiting import eventually


@pytest.fixture
def other(world, upstream):
    """Another model of the tenant, whose vectors have other dimensions."""
    entry = factories.catalog(world.provider, "other", capabilities=["embed"])
    upstream.script(entry.model, embeddings(dimensions=5))
    return entry


def set_embedding(dataset: Dataset, embedding: str) -> None:
    Dataset.objects.filter(pk=dataset.pk).update(embedding=embedding)


def current(dataset: Dataset) -> tuple[str, int]:
    dataset.refresh_from_db()
    return dataset.indexed_embedding, dataset.generation


def dimensions(dataset: Dataset) -> dict[int, set[int]]:
    """The dimensions of a dataset's vectors, by generation."""
    found: dict[int, set[int]] = {}
    for generation, size in ChunkVector.objects.filter(dataset=dataset).values_list(
        "generation", "dimensions"
    ):
        found.setdefault(generation, set()).add(size)
    return found


def is_settled(dataset: Dataset) -> bool:
    dataset.refresh_from_db()
    return not dataset.stale_vectors and dataset.index_lease is None and not dataset.next_embedding


def test_new_model_replaces_the_old_one_when_its_generation_is_complete(ingest, dataset, other):
    ended(*(factories.upload(dataset, f"Passage {n}.".encode()) for n in range(3)))
    set_embedding(dataset, "other")
    eventually(lambda: current(dataset) == ("other", 2))
    eventually(lambda: is_settled(dataset))
    assert dimensions(dataset) == {2: {5}}
    assert (
        ChunkVector.objects.filter(dataset=dataset).count()
        == Chunk.objects.filter(dataset=dataset).count()
        == 3
    )


def test_file_that_becomes_ready_meanwhile_is_in_both_generations(ingest, dataset, other, upstream):
    ended(factories.upload(dataset, b"The first passage."))
    go, asked = threading.Event(), threading.Event()

    async def held(wire: Wire) -> None:
        asked.set()
        while not go.is_set():
            await wire.pause(0.02)
        await embeddings(dimensions=5)(wire)

    upstream.script(other.model, held, embeddings(dimensions=5))
    set_embedding(dataset, "other")
    assert asked.wait(30)
    [late] = ended(factories.upload(dataset, b"A passage that comes late."))
    assert late.state == "ready"
    assert current(dataset) == ("embedder", 1)
    # Searches in the current generation find it.
    assert ChunkVector.objects.filter(chunk__dataset_file=late, generation=1, dimensions=3).exists()
    go.set()
    eventually(lambda: current(dataset) == ("other", 2))
    assert ChunkVector.objects.filter(chunk__dataset_file=late, generation=2, dimensions=5).exists()


def test_next_attempt_keeps_existing_vectors(ingest, dataset, other, upstream):
    text = "\n\n".join(f"{n}. " + "The harbour lies to the north. " * 80 for n in range(40))
    ended(factories.upload(dataset, text.encode()))
    chunks = Chunk.objects.filter(dataset=dataset).count()
    assert chunks > 64
    upstream.script(
        other.model, embeddings(dimensions=5), answer(error_body(), 503), embeddings(dimensions=5)
    )
    set_embedding(dataset, "other")
    eventually(lambda: Dataset.objects.get(pk=dataset.pk).index_error)
    assert current(dataset) == ("embedder", 1)
    assert Dataset.objects.get(pk=dataset.pk).index_retry_at is not None
    Dataset.objects.filter(pk=dataset.pk).update(index_retry_at=None)
    eventually(lambda: current(dataset) == ("other", 2))
    assert dataset.index_error == ""
    sent = [len(received.json["input"]) for received in upstream.received(other.model)]
    assert sent == [64, chunks - 64, chunks - 64]


def test_full_text_search_only_needs_no_vectors(ingest, dataset):
    ended(factories.upload(dataset, b"A passage."))
    set_embedding(dataset, "")
    eventually(lambda: current(dataset) == ("", 2))
    eventually(lambda: is_settled(dataset))
    assert dimensions(dataset) == {}


def test_error_of_a_model_is_stored_until_another_one_is_chosen(ingest, dataset, other):
    ended(factories.upload(dataset, b"A passage."))
    set_embedding(dataset, "nowhere")
    eventually(lambda: Dataset.objects.get(pk=dataset.pk).index_error)
    assert current(dataset) == ("embedder", 1)
    assert "'nowhere' does not exist" in dataset.index_error
    set_embedding(dataset, "other")
    eventually(lambda: current(dataset)[0] == "other")
    eventually(lambda: is_settled(dataset))
    assert dataset.index_error == ""


def test_reverted_change_leaves_nothing_behind(ingest, dataset, other, upstream):
    ended(factories.upload(dataset, b"A passage."))
    set_embedding(dataset, "nowhere")
    eventually(lambda: Dataset.objects.get(pk=dataset.pk).index_error)
    set_embedding(dataset, "embedder")
    eventually(lambda: is_settled(dataset))
    assert current(dataset) == ("embedder", 1)
    assert dataset.index_error == ""
    assert dimensions(dataset) == {1: {3}}


def hidden(world, embedding: str) -> Dataset:
    """A conversation's dataset with this embedding model."""
    thread = factories.conversation(world.key)
    thread.dataset = factories.dataset(
        world.tenant, embedding=embedding, embedding_requested_by=world.key.row, hidden=True
    )
    thread.save()
    return thread.dataset


def test_files_of_conversations_follow_the_tenants_embedding(ingest, world, embedder, other):
    world.tenant.embedding = "embedder"
    world.tenant.save()
    spoken, shared = hidden(world, "embedder"), factories.dataset(world.tenant, embedding="embedder")
    ended(*(factories.upload(into, b"A passage.") for into in (spoken, shared)))
    world.tenant.embedding = "other"
    world.tenant.save()
    eventually(lambda: current(spoken) == ("other", 2))
    eventually(lambda: is_settled(spoken))
    assert dimensions(spoken) == {2: {5}}
    # An operator changed the tenant.
    assert spoken.embedding_requested_by is None
    world.tenant.embedding = ""
    world.tenant.save()
    eventually(lambda: current(spoken)[0] == "")
    eventually(lambda: is_settled(spoken))
    assert dimensions(spoken) == {}
    assert current(shared) == ("embedder", 1)
    shared.refresh_from_db()
    assert shared.embedding == "embedder"


def test_many_datasets_are_indexed_without_pauses(ingest, world, other):
    many = [hidden(world, "embedder") for _ in range(15)]
    world.tenant.embedding = "other"
    world.tenant.save()
    # With a claim every two seconds it would take twice as long.
    eventually(
        lambda: not Dataset.objects.filter(tenant=world.tenant, indexed_embedding="embedder").exists(), 15
    )
    assert {current(dataset) for dataset in many} == {("other", 2)}


def test_datasets_are_indexed_before_those_of_conversations(world):
    spoken = [hidden(world, "embedder").pk for _ in range(9)]
    shared = factories.dataset(world.tenant, embedding="embedder").pk
    Dataset.objects.filter(tenant=world.tenant).update(embedding="other")
    first, *rest = (
        held.dataset_id for held in iter(vector_generations.claim, None) if held.tenant_id == world.tenant.pk
    )
    assert first == shared
    assert sorted(rest) == sorted(spoken)


def test_tenant_with_many_datasets_does_not_delay_another_one(ingest, world, embedder, other, upstream):
    small = factories.world(upstream.base_url)
    for name, dimensions in (("embedder", 3), ("other", 5)):
        entry = factories.catalog(small.provider, name, capabilities=["embed"])
        upstream.script(entry.model, embeddings(dimensions=dimensions))
    crowd = [factories.dataset(world.tenant, id=f"ds_0{n}", embedding="embedder") for n in range(6)]
    last = factories.dataset(small.tenant, id="ds_z", embedding="embedder")
    ended(*(factories.upload(into, b"A passage.") for into in (*crowd, last)))
    Dataset.objects.filter(tenant__in=[world.tenant, small.tenant]).update(embedding="other")
    eventually(lambda: {current(dataset) for dataset in (*crowd, last)} == {("other", 2)})
    [asked] = upstream.received(entry.model)
    before = [earlier for earlier in upstream.received(other.model) if earlier.arrived < asked.arrived]
    assert len(before) < 3
