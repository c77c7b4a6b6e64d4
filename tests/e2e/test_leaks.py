"""Nothing of the provider reaches a client, except for text that its model wrote."""

import json

import httpx
import pytest

from tests import answers, canaries, factories
from tests.canaries import canary
from tests.e2e.routes import CALLING, CAPABILITIES
from tests.upstream import Wire
from tests.wire import PLAIN, chat


@pytest.fixture
def names(upstream) -> dict[str, str]:
    """A catalog entry and an agent over a provider whose every secret has a canary; and a key for both."""
    tenant = factories.tenant()
    provider = factories.provider(
        tenant,
        upstream.base_url,
        name=canary("provider-name"),
        api_key=canaries.API_KEY,
        headers={"x-operator": canary("operator-header")},
    )
    entry = factories.catalog(provider, "clean", canaries.RAW_MODEL)
    agent = factories.agent(
        entry, "helper", instructions="Be kind.", parameters={"temperature": 0.5}, forced={"top_p": 0.9}
    )
    key = factories.key(tenant, [entry, agent])
    return {"clean": "clean", "helper": "helper", "key": key.plain}


@pytest.fixture
def leaks(gateway, upstream, names):
    """Asks for an answer and returns what leaked into it, with the answer itself."""

    def ask(play, *, stream: bool, model: str = "clean", **more) -> tuple[list[str], httpx.Response]:
        upstream.script(canaries.RAW_MODEL, play)
        response = PLAIN.post(
            f"{gateway.base_url}/v1/chat/completions",
            json=chat(model, stream=stream, **more),
            headers={"authorization": f"Bearer {names['key']}"},
        )
        return leaked_into(response, upstream.port), response

    return ask


def leaked_into(response: httpx.Response, port: int) -> list[str]:
    headers = b"\n".join(b": ".join(pair) for pair in response.headers.raw)
    found = canaries.found(headers, response.content, response.reason_phrase)
    return found + [mark for mark in (f":{port}", "aiohttp") if mark.encode() in headers + response.content]


def escaped(body: dict) -> bytes:
    """The same JSON with every letter of every canary written as an escape."""
    mark = canaries.MARK
    return json.dumps(body).replace(mark, "".join(f"\\u{ord(letter):04x}" for letter in mark)).encode()


SPELLINGS = {
    "compact": lambda body: json.dumps(body, separators=(",", ":")).encode(),
    "spaced": lambda body: json.dumps(body, separators=(" , ", " : ")).encode(),
    "indented": lambda body: json.dumps(body, indent=4).encode(),
    "escaped": escaped,
}


def test_the_canaries_are_there_to_be_found(upstream):
    upstream.script(canaries.RAW_MODEL, answers.answer(canaries.completion(), headers=canaries.headers()))
    whole = PLAIN.post(f"{upstream.base_url}/chat/completions", json=chat(canaries.RAW_MODEL))
    assert len(leaked_into(whole, upstream.port)) > 60
    upstream.script(canaries.RAW_MODEL, answers.stream(*canaries.events(), headers=canaries.headers()))
    streamed = PLAIN.post(f"{upstream.base_url}/chat/completions", json=chat(canaries.RAW_MODEL))
    assert len(leaked_into(streamed, upstream.port)) > 60


@pytest.mark.parametrize("model", ["clean", "helper"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_nothing_leaks_from_a_whole_answer(leaks, spelling, model):
    play = answers.answer(SPELLINGS[spelling](canaries.completion()), headers=canaries.headers())
    leaked, response = leaks(play, stream=False, model=model, logprobs=True, top_logprobs=1)
    assert leaked == []
    assert response.status_code == 200
    message = response.json()["choices"][0]["message"]
    assert message["content"] == "A clean sentence."
    assert message["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city": "Bonn"}'}
    assert response.json()["model"] == model
    assert response.json()["usage"]["total_tokens"] == 18


@pytest.mark.parametrize("model", ["clean", "helper"])
@pytest.mark.parametrize("travel", [{}, {"split": 3}, {"split": 40}, {"together": True}], ids=str)
def test_nothing_leaks_from_a_stream(leaks, travel, model):
    play = answers.stream(*canaries.events(), headers=canaries.headers(), **travel)
    leaked, response = leaks(play, stream=True, model=model, stream_options={"include_usage": True})
    assert leaked == []
    assert response.status_code == 200
    assert "A clean " in response.text
    assert "[DONE]" in response.text
    assert f'"model":"{model}"' in response.text.replace(": ", ":")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_nothing_leaks_from_a_stream_however_it_is_spelled(leaks, spelling):
    spelled = [
        one if isinstance(one, bytes) else answers.event(SPELLINGS[spelling](one).replace(b"\n", b" "))
        for one in canaries.events()
    ]
    leaked, response = leaks(answers.stream(*spelled, headers=canaries.headers()), stream=True)
    assert leaked == []
    assert "A clean " in response.text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    "status", [200, 201, 302, 400, 401, 403, 404, 408, 413, 418, 422, 429, 500, 503, 529]
)
@pytest.mark.parametrize("body", canaries.error_bodies(), ids=lambda body: body[0])
def test_nothing_leaks_from_an_error(leaks, body, status, stream):
    _, data, content_type = body
    headers = [*canaries.headers(), ("retry-after", "3"), ("location", f"http://{canary('location')}/")]
    play = answers.answer(data, status, headers=headers, content_type=content_type)
    leaked, response = leaks(play, stream=stream)
    assert leaked == []
    assert response.status_code >= 400
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "fault",
    [
        answers.event(canaries.error()),
        answers.event(canaries.error()["error"]),
        answers.event(canary("no-json")),
        answers.event(f'"{canary("json-string")}"'),
        f"event: error\ndata: {json.dumps(canaries.error())}\n\n".encode(),
        canaries.page(),
        f"{canary('bare')}\n\n".encode(),
        json.dumps(canaries.error()).encode(),
    ],
    ids=["error", "inner-error", "no-json", "string", "named", "html", "bare", "bare-json"],
)
def test_nothing_leaks_from_a_fault_in_a_stream(leaks, fault):
    play = answers.stream(
        canaries.chunk({"role": "assistant", "content": "A clean start."}),
        fault,
        done=False,
        then=answers.CUT,
    )
    leaked, response = leaks(play, stream=True)
    assert leaked == []
    assert response.text.count('"error"') == 1
    assert "[DONE]" not in response.text


def test_nothing_leaks_from_a_status_line_or_an_early_answer(leaks):
    async def play(wire: Wire) -> None:
        early = f"HTTP/1.1 103 Early Hints\r\nlink: <{canary('early')}>\r\n\r\n"
        await wire.send(f"{early}HTTP/1.1 500 {canary('reason')}\r\ncontent-length: 0\r\n\r\n".encode())

    for stream in (False, True):
        leaked, response = leaks(play, stream=stream)
        assert leaked == []
        assert response.status_code == 502


def test_a_parameter_of_the_agent_is_not_blamed_on_the_client(leaks):
    play = answers.answer(answers.error_body(param="top_p"), 400)
    _, response = leaks(play, stream=False, model="helper")
    assert response.json()["error"]["param"] is None
    assert "top_p" not in response.text


def test_lists_of_models_tell_public_names_alone(gateway, upstream, names):
    for path in ("/models", "/models/clean", "/models/helper", "/v1/models", "/v1/models/clean"):
        response = PLAIN.get(gateway.base_url + path, headers={"authorization": f"Bearer {names['key']}"})
        assert response.status_code == 200
        assert leaked_into(response, upstream.port) == []


@pytest.fixture
def everything(upstream):
    """Calls a route of a tenant whose provider answers all of them with canaries."""
    tenant = factories.tenant()
    provider = factories.provider(tenant, upstream.base_url, api_key=canaries.API_KEY)
    entry = factories.catalog(provider, "fast", canaries.RAW_MODEL, CAPABILITIES)
    key = factories.key(tenant, [entry])

    def ask(gateway, route, play):
        upstream.script(canaries.RAW_MODEL, play)
        url = gateway.base_url + route.path
        headers = {"authorization": f"Bearer {key.plain}"}
        return PLAIN.request(route.method, url, headers=headers, **route.request)

    return ask


@pytest.mark.parametrize("route", CALLING, ids=str)
def test_nothing_leaks_from_any_route(gateway, upstream, everything, route):
    response = everything(gateway, route, route.play)
    assert response.status_code == 200, response.text
    assert leaked_into(response, upstream.port) == []
    assert route.good in response.text


@pytest.mark.parametrize("route", CALLING, ids=str)
@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_nothing_leaks_from_an_error_of_any_route(gateway, upstream, everything, route, status):
    for _, data, content_type in canaries.error_bodies():
        if route.path == "/audio/speech" and status == 200 and "json" not in content_type:
            continue  # a body without a known type may be audio
        play = answers.answer(data, status, headers=canaries.headers(), content_type=content_type)
        response = everything(gateway, route, play)
        assert leaked_into(response, upstream.port) == []
        assert response.status_code >= 400
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_a_parameter_that_the_provider_blames_is_told_only_if_the_client_sent_it(leaks):
    def blaming(param: str):
        return answers.answer(answers.error_body(param=param, code="unsupported_value"), 400)

    _, response = leaks(blaming("temperature"), stream=False, temperature=0.3)
    assert response.json()["error"]["param"] == "temperature"
    for param in ("x_internal_flag", canary("param")):
        leaked, response = leaks(blaming(param), stream=False, temperature=0.3)
        assert leaked == []
        assert response.json()["error"]["param"] is None
