"""The golden path: from one command to an answer of a real language model on this machine, metered."""

import json
import signal
import threading
from pathlib import Path
from time import monotonic

import openai
import pytest

from tests.gateway import free_port
from tests.local_models.test_audio import SENTENCES, word_errors, words
from tests.stack.running import Run, manage

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
#: Seconds in which a short file has to be ready.
INDEXED = 120
HOUSE_RULES = """\
# House rules

Please read them on your first day.

## Coffee

A cup of coffee costs 40 cents.

## Spare key

The spare key is in the blue box.

## Alarm

The code of the alarm is 4711.

## Rubbish

The rubbish is collected on Thursdays.
"""
QUESTIONS = {
    "How much does a cup of coffee cost?": "40 cents",
    "Where is the spare key?": "blue box",
    "What is the code of the alarm?": "4711",
}
#: Seconds in which a record has to be in the database.
SOON = 30
RECORDS = """
import json
from tenants.models import UsageRecord
fields = ("model", "agent_version", "provider", "raw_model", "status", "input_tokens", "output_tokens", "estimated")
print(json.dumps([list(row) for row in UsageRecord.objects.filter(streamed=True).values_list(*fields)]))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The whole gateway with its local models; what clients set to reach it must not lead it astray itself."""
    astray = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "sk-astray"}
    home = tmp_path_factory.mktemp("golden")
    running = Run(home, free_port(), LOCAL_MODELS="1", **astray).ready()
    yield running
    running.end(signal.SIGTERM)


@pytest.fixture(scope="module")
def client(run):
    facts = json.loads((run.home / "demo.json").read_text())
    with openai.OpenAI(
        base_url=facts["base_url"], api_key=facts["api_key"], max_retries=0, timeout=180
    ) as sdk:
        yield sdk


def usage_of_streams(home: Path) -> list[list[object]]:
    """The records of streamed requests, once the drain has stored one."""
    deadline = monotonic() + SOON
    while monotonic() < deadline:
        done = manage(home, "shell", "--verbosity", "0", "--command", RECORDS)
        assert done.returncode == 0, done.stderr
        if found := json.loads(done.stdout):
            return found
    return []


def test_a_real_model_answers_under_the_agents_name_and_is_metered(run, client):
    assert "demo-assistant" in [model.id for model in client.models.list()]
    chunks = list(
        client.chat.completions.create(
            model="demo-assistant",
            messages=QUESTION,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Paris" in text
    assert {chunk.model for chunk in chunks} == {"demo-assistant"}
    usage = chunks[-1].usage
    assert usage_of_streams(run.home) == [
        [
            "demo-assistant",
            1,
            "local",
            "gemma-3-270m",
            200,
            usage.prompt_tokens,
            usage.completion_tokens,
            False,
        ]
    ]


def ready(client, file_id: str) -> dict:
    """A file, once it is ready; it may not go back on the way."""
    deadline, pause, seen = monotonic() + INDEXED, threading.Event(), 0
    while True:
        file = client.get(f"/files/{file_id}", cast_to=object)
        assert file["status"] in ("uploaded", "processing", "ready"), file
        assert file["progress"] >= seen
        seen = file["progress"]
        if file["status"] == "ready":
            return file
        assert monotonic() < deadline, file
        pause.wait(0.25)


def answered(client, question: str) -> tuple[str, list[dict]]:
    """What the handbook's agent says, streamed, and what it cites."""
    messages = [{"role": "user", "content": question}]
    text, citations = "", []
    for chunk in client.chat.completions.create(model="demo-handbook", messages=messages, stream=True):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            citations += (choice.delta.model_extra or {}).get("citations") or []
    return text, citations


@pytest.fixture(scope="module")
def handbook(client) -> str:
    """The id of the dataset of the demo's handbook, once that is ready."""
    (dataset,) = client.get("/datasets", cast_to=object, options={"params": {"name": "handbook"}})["data"]
    (file,) = client.vector_stores.files.list(dataset["id"]).data
    ready(client, file.id)
    return dataset["id"]


def test_the_demos_handbook_is_answered_from_without_anybodys_doing(client, handbook):
    # What only the handbook says; the model knows nothing of it.
    text, citations = answered(client, "How many days of holiday do employees get?")
    assert "28" in text
    assert [(cited["filename"], "28 days" in cited["quote"]) for cited in citations] == [
        ("handbook.md", True)
    ]
    text, citations = answered(client, "What is the boiling point of gold?")
    assert (text, citations) == ("That is not in the handbook.", [])


def test_a_handbook_that_is_uploaded_is_answered_from_and_cited(client, handbook):
    upload = {"file": ("house-rules.md", HOUSE_RULES.encode(), "text/markdown")}
    form = {"headers": {"Content-Type": "multipart/form-data"}}
    file = client.post(f"/datasets/{handbook}/files", cast_to=object, files=upload, options=form)
    assert ready(client, file["id"])["progress"] == 100
    for question, answer in QUESTIONS.items():
        text, citations = answered(client, question)
        assert answer in text, (question, text)
        assert [(cited["file_id"], cited["filename"]) for cited in citations] == [
            (file["id"], "house-rules.md")
        ]
        assert answer in citations[0]["quote"]


def test_the_local_embeddings_answer(client):
    answer = client.embeddings.create(model="demo-embeddings", input=["Hello!", "Good morning!"])
    assert [len(item.embedding) for item in answer.data] == [384, 384]


def test_what_is_spoken_through_the_gateway_comes_back_as_text(client):
    errors = count = 0
    for sentence in SENTENCES:
        sound = client.audio.speech.create(model="demo-speech", voice="alloy", input=sentence).content
        heard = client.audio.transcriptions.create(model="demo-transcription", file=("sentence.mp3", sound))
        errors += word_errors(sentence, heard.text)
        count += len(words(sentence))
    assert errors / count <= 0.1


def test_the_other_local_models_answer_under_their_public_names(client):
    image = client.images.generate(model="demo-images", prompt="a red bicycle", size="256x256").data[0]
    assert image.b64_json
    verdict = client.moderations.create(model="demo-moderation", input="I will kill you.")
    assert verdict.model == "demo-moderation"
    assert verdict.results[0].flagged
    body = {"model": "demo-rerank", "query": "a red bicycle", "documents": ["Tax law.", "A bike in red."]}
    ranking = client.post("/rerank", body=body, cast_to=object)
    assert ranking["model"] == "demo-rerank"
    assert [result["index"] for result in ranking["results"]] == [1, 0]
