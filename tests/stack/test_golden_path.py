"""The golden path: from one command to an answer of a real language model on this machine, metered."""

import json
import signal
from pathlib import Path
from time import monotonic

import openai
import pytest

from tests.gateway import free_port
from tests.local_models.test_audio import SENTENCES, word_errors, words
from tests.stack.running import Run, manage

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
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
        base_url=facts["base_url"], api_key=facts["api_key"], max_retries=0, timeout=60
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


def test_the_agents_instructions_are_applied(client):
    # What only the instructions of this agent say; the model under it knows nothing of it.
    question = [{"role": "user", "content": "How many days of holiday do employees get?"}]
    answer = client.chat.completions.create(model="demo-handbook", messages=question)
    assert "28" in answer.choices[0].message.content


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
