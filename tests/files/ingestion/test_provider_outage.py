"""A model that fails: what passes is waited for, what does not is said."""

from files.models import Chunk
from gtapi.database import in_thread
from tests import factories
from tests.answers import answer, error_body
from tests.e2e.media import wav
from tests.files.ingestion.helpers import embeddings, ended, state
from tests.upstream import Wire
from tests.waiting import eventually


def test_model_that_is_overloaded_is_asked_again(ingest, dataset, embedder, upstream):
    upstream.script(embedder.model, answer(error_body(), 503), embeddings())
    place = factories.upload(dataset, b"A passage.")
    eventually(lambda: state(place).retry_at)
    assert state(place).state == "processing"
    [place] = ended(place)
    assert (place.state, place.provider_errors, place.attempts) == ("ready", 1, 0)


def test_model_that_refuses_fails_the_file(ingest, dataset, embedder, upstream):
    upstream.script(embedder.model, answer(error_body(), 400))
    [place] = ended(factories.upload(dataset, b"A passage."))
    assert (place.state, place.error_code) == ("failed", "embedding_failed")
    assert place.error_message
    assert "the provider's own words" not in place.error_message
    assert not Chunk.objects.filter(place=place).exists()


def test_dataset_whose_model_is_gone_fails_the_file(ingest, world):
    [place] = ended(factories.upload(factories.dataset(world.tenant, embedding="nowhere"), b"A passage."))
    assert (place.state, place.error_code) == ("failed", "embedding_failed")


def test_hiccup_in_mid_file_does_not_cost_what_was_made(ingest, dataset, embedder, upstream):
    text = "\n\n".join(f"{n}. " + "The harbour lies to the north. " * 80 for n in range(40))
    hiccup = answer(error_body(), 429, headers=[("retry-after", "1")])
    upstream.script(embedder.model, embeddings(), hiccup, embeddings())
    [place] = ended(factories.upload(dataset, text.encode()))
    assert (place.state, place.provider_errors) == ("ready", 0)
    sent = [len(received.json["input"]) for received in upstream.received(embedder.model)]
    assert sent == [64, place.chunk_count - 64, place.chunk_count - 64]


def test_progress_moves_while_a_file_is_embedded(ingest, dataset, embedder, upstream):
    text = "\n\n".join(f"{n}. " + "The harbour lies to the north. " * 80 for n in range(80))
    seen = []

    async def play(wire: Wire) -> None:
        row = await in_thread(state, place)
        seen.append((row.stage, row.progress))
        await embeddings()(wire)

    upstream.script(embedder.model, play)
    place = factories.upload(dataset, text.encode())
    [place] = ended(place)
    assert place.state == "ready"
    assert len(seen) >= 3
    assert {stage for stage, _ in seen} == {"embedding"}
    progress = [percent for _, percent in seen]
    assert progress == sorted(set(progress))
    assert 0 < progress[0] < progress[-1] < 100


def test_recording_is_found_by_what_is_said(ingest, world, upstream):
    entry = factories.catalog(world.provider, "ears", capabilities=["transcribe"])
    segments = [
        {"id": 0, "start": 0.0, "end": 3.0, "text": " Good morning."},
        {"id": 1, "start": 125.5, "end": 130.0, "text": " The harbour opens at six."},
    ]
    said = {"text": "Good morning. The harbour opens at six.", "segments": segments, "duration": 130.0}
    upstream.script(entry.model, answer({**said, "language": "english"}))
    place = factories.upload(
        factories.dataset(world.tenant), wav(), filename="talk.wav", content_type="audio/wav"
    )
    [place] = ended(place)
    assert place.state == "ready"
    found = list(Chunk.objects.filter(place=place).values_list("heading", "text"))
    assert found == [("0:00:00", "Good morning."), ("0:02:05", "The harbour opens at six.")]


def test_recording_without_a_model_that_listens_fails(ingest, world):
    place = factories.upload(
        factories.dataset(world.tenant), wav(), filename="talk.wav", content_type="audio/wav"
    )
    [place] = ended(place)
    assert (place.state, place.error_code) == ("failed", "transcription_failed")
