"""What routes really answer is what the description says, with nothing besides."""

import http.client
import json
import re
from datetime import timedelta

import jsonschema
import pytest
from django.utils import timezone

from files.models import DatasetFile
from inference.openapi.assembly import EVENTS, description
from inference.openapi.routes import routes
from tests import answers, factories
from tests.e2e.routes import CALLING as CALLS
from tests.openapi.provider import curl, obliging
from tests.openapi.test_description import example, filled
from tests.wire import PLAIN, envelope, events

ROUTES = {(route.method, route.path): route for route in routes()}
CALLING = [route for route in routes() if route.capability]
#: The first event of a stream of each route, after which nothing comes.
CUT_SHORT = {
    "/chat/completions": answers.chunk({"role": "assistant", "content": "A"}),
    "/completions": {"choices": [{"index": 0, "text": "A", "finish_reason": None}]},
    "/audio/transcriptions": {"type": "transcript.text.delta", "delta": "A"},
    "/audio/speech": {"type": "speech.audio.delta", "audio": "AAAA"},
    "/images/generations": {"type": "image_generation.partial_image", "b64_json": "AAAA"},
}


def check(response, method: str, path: str, *, breaks_off: bool = False) -> None:
    """Hold an answer against what the description says of the route; a stream may break off with an error."""
    document = description()
    said = document["paths"][path][method.lower()]["responses"]
    assert str(response.status_code) in said, (response.status_code, response.text)
    said = said[str(response.status_code)]
    for name, header in said["headers"].items():
        named = header.get("$ref", "").rpartition("/")[2]
        known = document["components"]["headers"][named] if named else header
        assert name in response.headers or not known.get("required"), name
    kind = response.headers["content-type"].partition(";")[0]
    content = said["content"][kind if kind in said["content"] else "*/*"]
    if kind == EVENTS:
        found = events(re.sub(r"(?m)^event: .*\n", "", response.text))
        if content["x-end"] and not breaks_off:
            assert found.pop() == content["x-end"]
        assert ["error" in event for event in found] == [False] * (len(found) - 1) + [breaks_off]
        for event in found:
            valid(event, told(content["schema"]["properties"]["data"]))
    elif kind == "application/json":
        valid(response.json(), content["schema"])
        if "x-codes" in said:
            assert response.json()["error"]["code"] in said["x-codes"]


def told(data):
    """The schema of the JSON in an event; the end marker may be an alternative to it."""
    one = next(one for one in data.get("anyOf", [data]) if "contentSchema" in one)
    return one["contentSchema"]


def valid(value, schema) -> None:
    whole = {**schema, "components": description()["components"]}
    problems = [f"{error.json_path}: {error.message}" for error in
                jsonschema.Draft202012Validator(whole).iter_errors(value)]  # fmt: skip
    assert problems == []


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_responses_match_the_description(site, call):
    site.upstream.script(site.world.raw, call.play)
    response = site.client.request(call.method, call.path, **call.request)
    site.upstream.script(site.world.raw, obliging)
    assert response.status_code == 200
    check(response, call.method, call.path)


@pytest.mark.parametrize("call", [call for call in CALLS if call.how == "stream"], ids=str)
def test_stream_error_event_matches_the_description(site, call):
    play = answers.stream(CUT_SHORT[call.path], done=False, then=answers.CUT)
    site.upstream.script(site.world.raw, play)
    response = site.client.request(call.method, call.path, **call.request)
    site.upstream.script(site.world.raw, obliging)
    assert response.status_code == 200
    check(response, call.method, call.path, breaks_off=True)


def test_agent_responses_match_the_description(site):
    for path, body in (
        ("/chat/completions", {"messages": [{"role": "user", "content": "Hello"}]}),
        ("/completions", {"prompt": "Hello"}),
    ):
        for stream in (False, True):
            play = next(c.play for c in CALLS if c.path == "/chat/completions" and bool(c.how) == stream)
            site.upstream.script(site.world.raw, play)
            response = site.client.post(path, json={"model": "support", "stream": stream, **body})
            check(response, "post", path)
    site.upstream.script(site.world.raw, obliging)


def test_model_lists_match_the_description(site):
    check(site.client.get("/models"), "get", "/models")
    check(site.client.get("/models/support"), "get", "/models/{id}")
    check(site.client.get("/models/none"), "get", "/models/{id}")


@pytest.mark.parametrize("response_format", ["json", "text", "srt", "vtt", "verbose_json", "diarized_json"])
def test_transcripts_match_the_description_in_each_format(site, response_format):
    request = {
        "data": {"model": "fast", "response_format": response_format},
        "files": {"file": ("a.wav", b"RIFF")},
    }
    check(site.client.post("/audio/transcriptions", **request), "post", "/audio/transcriptions")


def test_image_url_response_matches_the_description(site):
    request = {"model": "fast", "prompt": "A cat", "response_format": "url"}
    made = site.client.post("/images/generations", json=request)
    check(made, "post", "/images/generations")
    url = made.json()["data"][0]["url"]
    check(PLAIN.get(url), "get", "/images/files/{name}")
    check(PLAIN.get(url + "x"), "get", "/images/files/{name}")


def test_conversations_match_the_description(site):
    conversation = site.client.post("/conversations", json={"metadata": {"a": "b"}})
    check(conversation, "post", "/conversations")
    at = f"/conversations/{conversation.json()['id']}"
    check(site.client.get(at), "get", "/conversations/{id}")
    check(site.client.post(at, json={"metadata": None}), "post", "/conversations/{id}")
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hello"},
                                     {"type": "input_image", "image_url": "https://example.com/a.png"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "1"},
    ]  # fmt: skip
    added = site.client.post(f"{at}/items", json={"items": items})
    check(added, "post", "/conversations/{id}/items")
    assert {item["type"] for item in added.json()["data"]} == {
        "message",
        "function_call",
        "function_call_output",
    }
    headers = {"X-GT-Conversation-Id": conversation.json()["id"]}
    body = {"model": "support", "messages": [{"role": "user", "content": "And now?"}]}
    said = site.client.post("/chat/completions", json=body, headers=headers)
    check(said, "post", "/chat/completions")
    assert said.headers["x-gt-conversation-id"] == headers["X-GT-Conversation-Id"]
    for query in ("", "?limit=1", "?order=asc", "?limit=0", "?order=up", "?after=none"):
        check(site.client.get(f"{at}/items{query}"), "get", "/conversations/{id}/items")
    item = f"{at}/items/{added.json()['first_id']}"
    check(site.client.get(item), "get", "/conversations/{id}/items/{item_id}")
    check(site.client.delete(item), "delete", "/conversations/{id}/items/{item_id}")
    check(site.client.get(item), "get", "/conversations/{id}/items/{item_id}")
    check(site.client.delete(at), "delete", "/conversations/{id}")
    check(site.client.get(at), "get", "/conversations/{id}")
    check(
        site.client.post("/chat/completions", json=body, headers=headers),
        "post",
        "/chat/completions",
    )


def test_datasets_match_the_description(site):
    made = site.client.post("/datasets", json={"name": "A name of its own", "metadata": {"a": "b"}})
    check(made, "post", "/datasets")
    week = {"anchor": "last_active_at", "days": 7}
    for odd in (week, None, 7):
        body = {"name": "Until next week", "expires_after": odd}
        check(site.client.post("/datasets", json=body), "post", "/datasets")
    at = f"/datasets/{made.json()['id']}"
    for query in ("", "?limit=1", "?order=asc", "?name=none", "?limit=0", "?order=up", "?before=none"):
        check(site.client.get(f"/datasets{query}"), "get", "/datasets")
    check(site.client.get(at), "get", "/datasets/{id}")
    for body in (
        {"title": "T"},
        {"metadata": None},
        {"name": "a b"},
        {"embedding": "none"},
        {"expires_after": week},
    ):
        check(site.client.post(at, json=body), "post", "/datasets/{id}")
    taken = {"name": site.client.get(f"/datasets/{site.dataset()}").json()["name"]}
    check(site.client.post(at, json=taken), "post", "/datasets/{id}")
    for body in ({"query": "When?"}, {"query": ""}, {"query": "When?", "filters": {"type": "odd"}}):
        check(site.client.post(f"{at}/search", json=body), "post", "/datasets/{id}/search")
    check(site.client.delete(at), "delete", "/datasets/{id}")
    check(site.client.get(at), "get", "/datasets/{id}")
    check(site.client.post(at, json={}), "post", "/datasets/{id}")
    check(site.client.delete(at), "delete", "/datasets/{id}")


def test_vector_stores_match_the_description(site, kept):
    there = {"{id}": kept["ds_0"], "{file_id}": kept["file-0"], "{batch_id}": kept["vsfb_0"]}
    store, file, batch = (f"/vector_stores{path}" for path in ("/{id}", "/{id}/files", "/{id}/file_batches"))
    static = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
    dataset_file = DatasetFile.objects.select_related("dataset").get(
        dataset=kept["ds_0"], file=kept["file-0"]
    )
    factories.chunk(dataset_file, "The office opens at nine.")
    calls = [
        ("post", "/vector_stores", {"name": "A store", "chunking_strategy": static}),
        ("post", "/vector_stores", {"expires_after": {"anchor": "last_active_at", "days": 1}}),
        ("get", "/vector_stores", None), ("get", store, None), ("post", store, {"name": "B", "metadata": None}),
        ("post", f"{store}/search", {"query": ["When?", "Who?"]}), ("post", f"{store}/search", {"query": 1}),
        ("get", file, None), ("post", file, {"file_id": "{file_id}", "attributes": {"a": 1.5, "b": True}}),
        ("post", file, {"file_id": "none"}), ("get", f"{file}/{{file_id}}", None),
        ("post", f"{file}/{{file_id}}", {"attributes": {"a": "b"}}), ("get", f"{file}/{{file_id}}/content", None),
        ("post", batch, {"file_ids": ["{file_id}"]}), ("get", f"{batch}/{{batch_id}}", None),
        ("get", f"{batch}/{{batch_id}}/files", None), ("post", f"{batch}/{{batch_id}}/cancel", None),
        ("delete", f"{file}/{{file_id}}", None), ("get", f"{file}/{{file_id}}", None), ("delete", store, None),
        ("get", store, None),
    ]  # fmt: skip
    for method, path, body in calls:
        address, said = path, json.dumps(body)
        for name, value in there.items():
            address, said = address.replace(name, value), said.replace(name, value)
        given = {} if body is None else {"json": json.loads(said)}
        check(site.client.request(method, address, **given), method, path)


def test_expired_vector_store_matches_the_description(site):
    long_ago = timezone.now() - timedelta(days=7)
    times = {"last_active_at": long_ago, "expires_after": timedelta(days=7)}
    expired = factories.dataset(site.world.tenant, keys=[site.world.key.row], by_client=True, **times)
    for method, path, request in (
        ("get", "/vector_stores/{id}", {}), ("get", "/datasets/{id}", {}),
        ("post", "/vector_stores/{id}/search", {"json": {"query": "When?"}}),
        ("post", "/datasets/{id}/search", {"json": {"query": "When?"}}),
        ("post", "/vector_stores/{id}/files", {"json": {"file_id": "file-0"}}),
        ("post", "/vector_stores/{id}/file_batches", {"json": {"file_ids": ["file-0"]}}),
        ("post", "/datasets/{id}/files", {"files": {"file": ("a.txt", b"A")}}),
    ):  # fmt: skip
        response = site.client.request(method, path.replace("{id}", expired.pk), **request)
        if method == "post":
            envelope(response, 400, "dataset_expired")
            assert "dataset_expired" in description()["paths"][path]["post"]["responses"]["400"]["x-codes"]
        check(response, method, path)


@pytest.mark.parametrize("route", ROUTES.values(), ids=lambda route: route.name)
def test_errors_match_the_description(site, route):
    address, request = site.base_url + filled(route.path), example(route)
    none = factories.key(site.world.tenant, [], ["datasets:read"])
    ours = site.world.authorization
    for headers, changed in (
        ({}, request),
        ({"authorization": f"Bearer {none.plain}"}, request),
        (ours, {"content": b"{", "headers": {"content-type": "application/json"}} if route.body else {}),
        (ours, {"content": b"<a/>", "headers": {"content-type": "text/xml"}} if route.body else {}),
        (ours, {"headers": {"x-big": "y" * 70_000}}),
    ):
        more = {**changed, "headers": {**headers, **changed.get("headers", {})}}
        check(PLAIN.request(route.method, address, **more), route.method, route.path)


@pytest.mark.parametrize("route", CALLING, ids=lambda route: route.name)
def test_provider_errors_match_the_description(site, route):
    for play in (
        answers.answer(answers.error_body(), 400),
        answers.answer(answers.error_body(code="context_length_exceeded"), 400),
        answers.answer(answers.error_body(code="content_filter"), 400),
        answers.answer(answers.error_body(), 401),
        answers.answer(answers.error_body(), 429, headers=[("retry-after", "7")]),
        answers.answer(answers.error_body(code="insufficient_quota"), 429),
        answers.answer(answers.error_body(), 503),
        answers.answer(answers.error_body(), 504),
        answers.closed(),
        answers.html(),
    ):
        site.upstream.script(site.world.raw, play)
        response = site.client.post(route.path, **example(route))
        assert response.status_code >= 400
        check(response, "post", route.path)
    site.upstream.script(site.world.raw, obliging)


@pytest.mark.parametrize("route", [r for r in ROUTES.values() if r.body], ids=lambda route: route.name)
def test_oversized_body_error_matches_the_description(site, route):
    connection = http.client.HTTPConnection("127.0.0.1", site.gateway.port, timeout=10)
    connection.putrequest(route.method.upper(), "/api/tenant" + site.path(route))
    kind = (
        f"{route.body.media_type}; boundary=x"
        if route.body.media_type.startswith("multi")
        else "application/json"
    )
    for name, value in {
        **site.world.authorization,
        **site.headers(route),
        "content-type": kind,
        "content-length": str(2**32),
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    error = json.loads(answer.read())
    connection.close()
    assert (answer.status, error["error"]["code"]) == (413, "request_too_large")
    assert "413" in description()["paths"][route.path][route.method]["responses"]


def test_field_with_a_non_ascii_name_is_forwarded(site):
    request = {
        "data": {"model": "fast", "größe": "groß", 'a"b;c\\d': "1"},
        "files": {"image": ("a.png", b"RIFF")},
    }
    assert site.client.post("/images/variations", **request).status_code == 200
    arrived = site.upstream.last(site.world.raw).body
    assert 'name="größe"\r\n\r\ngroß\r\n'.encode() in arrived


def test_field_with_a_name_that_cannot_be_forwarded_is_refused(site):
    for name in ("a\x1ab", "a\x7fb", "a\u2028b", "a\0b"):
        parts = [("model", "fast"), (name, "x"), ("file", "RIFF")]
        body = "".join(f'--x\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in parts)
        headers = {"content-type": "multipart/form-data; boundary=x"}
        response = site.client.post(
            "/audio/transcriptions", content=f"{body}--x--\r\n".encode(), headers=headers
        )
        envelope(response, 400, "invalid_form")


class Kept(dict[str, str]):
    """What stands for the names in the examples, of which each needs few: made when the first one is asked for."""

    def __init__(self, site) -> None:
        self.site = site
        super().__init__({"my-model": "fast"})

    def __missing__(self, name: str) -> str:
        self.update(self.spoken() if name in SPOKEN else self.stored())
        return self[name]

    def spoken(self) -> dict[str, str]:
        """A conversation and an item of it."""
        conversation = self.site.conversation()
        body = {"items": [{"role": "user", "content": "Hello"}]}
        item = self.site.client.post(f"/conversations/{conversation}/items", json=body).json()["first_id"]
        return dict(zip(SPOKEN, (conversation, item), strict=True))

    def stored(self) -> dict[str, str]:
        """Create a dataset, a separate file, a file in the dataset, and a batch of the first file."""
        post = self.site.client.post
        notes = {"file": ("notes.txt", b"The office opens at nine.")}
        file = post("/files", data={"purpose": "assistants"}, files=notes).json()["id"]
        dataset = self.site.dataset()
        dataset_file = post(f"/datasets/{dataset}/files", files=notes).json()["id"]
        batch = post(f"/vector_stores/{dataset}/file_batches", json={"file_ids": [file]}).json()["id"]
        return dict(zip(STORED, (dataset, file, dataset_file, batch), strict=True))


SPOKEN = ("conv_0", "msg_0")
STORED = ("ds_0", "file-0", "file-1", "vsfb_0")


def localised(source: str, kept: Kept) -> str:
    # All at once: an id that was put in may begin like a name in the examples.
    return re.sub("|".join(("my-model", *SPOKEN, *STORED)), lambda name: kept[name[0]], source)


@pytest.fixture
def kept(site) -> Kept:
    return Kept(site)


EXAMPLES = [route for route in ROUTES.values() if "python" in route.examples]


@pytest.mark.filterwarnings("ignore:deprecated")  # the SDK says so of older routes
@pytest.mark.parametrize("route", EXAMPLES, ids=lambda route: route.name)
def test_the_python_example_runs(site, kept, route, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", site.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", site.world.key.plain)
    before = {
        name: b"RIFF" + bytes(64) for name in ("hello.mp3", "hallo.mp3", "lighthouse.png", "handbook.pdf")
    }
    for name, data in before.items():
        (tmp_path / name).write_bytes(data)
    names: dict = {}
    exec(compile(localised(route.examples["python"], kept), route.name, "exec"), names)
    names["client"].close()  # else the collector may find its sockets first, and complain
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert capsys.readouterr().out or after != before


@pytest.mark.parametrize("route", EXAMPLES, ids=lambda route: route.name)
def test_the_curl_example_works(site, kept, route):
    source = localised(route.examples["curl"], kept)
    request = curl(
        source.replace("$OPENAI_BASE_URL", site.base_url).replace("$OPENAI_API_KEY", site.world.key.plain)
    )
    assert (request["method"].lower(), route.name) == (route.method, route.name)
    response = PLAIN.request(**request)
    assert response.status_code == 200, response.text
    check(response, route.method, route.path)
