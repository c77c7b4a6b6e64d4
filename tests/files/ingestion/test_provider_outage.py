"""Failing models: transient errors are retried, permanent ones fail the file. Transcripts of recordings."""

from files.models import Chunk
from gtapi.database import in_thread
from tests import factories
from tests.answers import answer, error_body
from tests.e2e.media import wav
from tests.files.ingestion.helpers import embeddings, ended, state
from tests.upstream import Wire
from tests.waiting import eventually


def test_overloaded_model_is_retried(ingest, dataset, embedder, upstream):
    upstream.script(embedder.model, answer(error_body(), 503), embeddings())
    dataset_file = factories.upload(dataset, b"A passage.")
    eventually(lambda: state(dataset_file).retry_at)
    assert state(dataset_file).state == "processing"
    [dataset_file] = ended(dataset_file)
    assert (dataset_file.state, dataset_file.provider_errors, dataset_file.attempts) == ("ready", 1, 0)


def test_rejected_text_fails_the_file(ingest, dataset, embedder, upstream):
    upstream.script(embedder.model, answer(error_body(), 400))
    [dataset_file] = ended(factories.upload(dataset, b"A passage."))
    assert (dataset_file.state, dataset_file.error_code) == ("failed", "embedding_failed")
    assert dataset_file.error_message
    assert "the provider's own words" not in dataset_file.error_message
    assert not Chunk.objects.filter(dataset_file=dataset_file).exists()


def test_missing_model_fails_the_file(ingest, world):
    [dataset_file] = ended(
        factories.upload(factories.dataset(world.tenant, embedding="nowhere"), b"A passage.")
    )
    assert (dataset_file.state, dataset_file.error_code) == ("failed", "embedding_failed")


def test_failed_batch_is_retried_without_the_batches_before(ingest, dataset, embedder, upstream):
    text = "\n\n".join(f"{n}. " + "The harbour lies to the north. " * 80 for n in range(40))
    hiccup = answer(error_body(), 429, headers=[("retry-after", "1")])
    upstream.script(embedder.model, embeddings(), hiccup, embeddings())
    [dataset_file] = ended(factories.upload(dataset, text.encode()))
    assert (dataset_file.state, dataset_file.provider_errors) == ("ready", 0)
    sent = [len(received.json["input"]) for received in upstream.received(embedder.model)]
    assert sent == [64, dataset_file.chunk_count - 64, dataset_file.chunk_count - 64]


def test_progress_increases_during_embedding(ingest, dataset, embedder, upstream):
    text = "\n\n".join(f"{n}. " + "The harbour lies to the north. " * 80 for n in range(80))
    seen = []

    async def play(wire: Wire) -> None:
        row = await in_thread(state, dataset_file)
        seen.append((row.stage, row.progress))
        await embeddings()(wire)

    upstream.script(embedder.model, play)
    dataset_file = factories.upload(dataset, text.encode())
    [dataset_file] = ended(dataset_file)
    assert dataset_file.state == "ready"
    assert len(seen) >= 3
    assert {stage for stage, _ in seen} == {"embedding"}
    progress = [percent for _, percent in seen]
    assert progress == sorted(set(progress))
    assert 0 < progress[0] < progress[-1] < 100


def test_recording_is_transcribed(ingest, world, upstream):
    entry = factories.catalog(world.provider, "ears", capabilities=["transcribe"])
    segments = [
        {"id": 0, "start": 0.0, "end": 3.0, "text": " Good morning."},
        {"id": 1, "start": 125.5, "end": 130.0, "text": " The harbour opens at six."},
    ]
    said = {"text": "Good morning. The harbour opens at six.", "segments": segments, "duration": 130.0}
    upstream.script(entry.model, answer({**said, "language": "english"}))
    dataset_file = factories.upload(
        factories.dataset(world.tenant), wav(), filename="talk.wav", content_type="audio/wav"
    )
    [dataset_file] = ended(dataset_file)
    assert dataset_file.state == "ready"
    found = list(Chunk.objects.filter(dataset_file=dataset_file).values_list("heading", "text"))
    assert found == [("0:00:00", "Good morning."), ("0:02:05", "The harbour opens at six.")]


def test_recording_fails_without_a_transcription_model(ingest, world):
    dataset_file = factories.upload(
        factories.dataset(world.tenant), wav(), filename="talk.wav", content_type="audio/wav"
    )
    [dataset_file] = ended(dataset_file)
    assert (dataset_file.state, dataset_file.error_code) == ("failed", "transcription_failed")
