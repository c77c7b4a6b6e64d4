"""A client cannot choose what the operator decides by spelling a field's name in another way."""

import pytest

from tests import answers, factories
from tests.wire import chat

KELVIN, LONG_S = "\N{KELVIN SIGN}", "\N{LATIN SMALL LETTER LONG S}"


@pytest.fixture
def world(upstream):
    made = factories.world(
        upstream.base_url,
        capabilities=("chat", "transcribe"),
        agent_fields={"instructions": "Be brief.", "forced": {"max_tokens": 5}, "parameters": {"seed": 7}},
    )
    upstream.script(made.raw, answers.answer())
    return made


def sent(http, upstream, world, **body):
    assert http.post("/chat/completions", json=chat("support", **body)).status_code == 200
    return upstream.last(world.raw).json


@pytest.mark.parametrize(
    "name", ["Model", "MODEL", "Messages", f"me{LONG_S}{LONG_S}ages", "Stream", "API_KEY", f"api_{KELVIN}ey"]
)
def test_another_spelling_of_what_routes_does_not_pass(http, upstream, world, name):
    # Servers written in Go take names without regard to their case, the last one wins.
    arrived = sent(http, upstream, world, **{name: "expensive-model"})
    assert "expensive-model" not in arrived.values()
    assert arrived["model"] == world.raw
    assert [message["role"] for message in arrived["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    "name",
    ["Max_Tokens", f"max_to{KELVIN}ens", "max_completion_tokens", "Max_Completion_Tokens", "max_output_tokens",
     "max_new_tokens", "n_predict"],
)  # fmt: skip
def test_a_forced_limit_holds_whatever_a_server_calls_it(http, upstream, world, name):
    arrived = sent(http, upstream, world, **{name: 9999})
    assert 9999 not in arrived.values()
    assert arrived["max_tokens"] == 5


@pytest.mark.parametrize("name", ["user_config", "context_window_fallbacks", "preset", "adapter_id", "lora"])
def test_a_field_that_chooses_a_model_does_not_pass(http, upstream, world, name):
    assert name not in sent(http, upstream, world, **{name: "expensive-model"})


def test_unknown_fields_pass_as_they_are_spelled(http, upstream, world):
    assert (
        sent(http, upstream, world, topK=3, safetySettings=[1]).items()
        >= {"topK": 3, "safetySettings": [1]}.items()
    )


def test_the_last_of_two_models_is_the_one_that_is_asked_for(http, upstream, world):
    body = b'{"model": "nothing", "messages": [{"role": "user", "content": "Hi"}], "model": "support"}'
    response = http.post("/chat/completions", content=body, headers={"content-type": "application/json"})
    assert response.json()["model"] == "support"
    assert upstream.last(world.raw).body.count(b'"model"') == 1


def test_a_form_cannot_name_another_model_either(http, upstream, world):
    upstream.script(world.raw, answers.answer({"text": "Hello."}))
    response = http.post(
        "/audio/transcriptions",
        data={"model": "fast", "Model": "expensive-model", "API_KEY": "x"},
        files={"file": ("a.wav", b"RIFF1234", "audio/wav"), "MODEL": ("b", b"expensive-model", "text/plain")},
    )
    assert response.status_code == 200, response.text
    assert b"expensive-model" not in upstream.last(world.raw).body
