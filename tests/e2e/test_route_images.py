"""Images: as base64 or at an address of ours, made, edited and varied, whole or as they become clearer."""

import json
import time
from base64 import b64decode

import httpx
import pytest

from inference import image_storage
from tests import answers, factories
from tests.answers import answer, stream
from tests.e2e.media import (
    IMAGE_USAGE,
    JPEG,
    PICTURE,
    PNG,
    SAID,
    SVG,
    WEBP,
    base64,
    image_events,
    pictures,
    png,
    typed,
)
from tests.wire import PLAIN, envelope

DRAW = {"model": "fast", "prompt": "A cat"}
EDIT = {"model": "fast", "prompt": "A dog"}
ROUTES = ["generations", "edits", "variations"]
#: The SDK itself calls variations out of date.
OUT_OF_DATE = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")


def ask(http, route="generations", **more):
    """Ask for an image; on the routes that take a form, everything is a field of it."""
    if route == "generations":
        return http.post("/images/generations", json={**DRAW, **more})
    return http.post(f"/images/{route}", data={**EDIT, **more}, files={"image": PICTURE})


def named_events(text: str) -> list[dict]:
    """The events of a stream, each with a name that is its type."""

    assert text.endswith("\n\n")
    found = []
    for frame in text.removesuffix("\n\n").split("\n\n"):
        name, data = frame.split("\n") if frame.startswith("event: ") else ("", frame)
        parsed = json.loads(data.removeprefix("data: "))
        if "error" not in parsed:
            assert name == f"event: {parsed['type']}"
        found.append(parsed)
    return found


def test_the_sdk_gets_base64(upstream, studio, sdk):
    more = {"size": "1024x1024", "quality": "low", "background": "opaque", "output_format": "png"}
    said = pictures(png(1), png(2), **more)
    said["data"][0]["revised_prompt"] = "A grey cat"
    said["data"][1]["url"] = "http://upstream.example/2.png"
    upstream.script(studio.raw, answer(said))
    got = sdk.images.generate(**DRAW, n=2, user="ann", moderation="low", output_compression=50, **more)
    assert [b64decode(image.b64_json) for image in got.data] == [png(1), png(2)]
    assert [image.url for image in got.data] == [None, None]
    assert got.data[0].revised_prompt == "A grey cat"
    assert abs(got.created - time.time()) < 60
    assert (got.size, got.quality, got.background, got.output_format) == tuple(more.values())
    assert got.usage.to_dict() == IMAGE_USAGE
    sent = upstream.last(studio.raw).json
    assert sent == {
        **DRAW, "model": studio.raw, "n": 2, "user": "ann", "moderation": "low", "output_compression": 50,
        **more, "response_format": "b64_json",
    }  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("image", "kind"),
    [(PNG, "image/png"), (JPEG, "image/jpeg"), (WEBP, "image/webp"), (SVG, "image/svg+xml")],
    ids=["png", "jpeg", "webp", "svg"],
)
def test_image_url_returns_the_image(upstream, studio, studio_http, route, image, kind):
    upstream.script(studio.raw, answer(pictures(image, image)))
    got = ask(studio_http, route, response_format="url", n=2).json()["data"]
    assert len({one["url"] for one in got}) == 2
    for one in got:
        assert set(one) == {"url"}
        assert one["url"].startswith(f"{studio_http.base_url}images/files/")
        fetched = PLAIN.get(one["url"])
        assert (fetched.content, fetched.headers["content-type"]) == (image, kind)
        assert fetched.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in fetched.headers["content-security-policy"]
        assert fetched.headers["x-request-id"].startswith("req_")
    sent = upstream.last(studio.raw)
    asked = sent.json.get("response_format") if route == "generations" else sent.fields("response_format")
    assert asked in ("b64_json", ["b64_json"])


def test_the_sdks_address_lies_under_its_base(upstream, studio, sdk, base):
    upstream.script(studio.raw, answer(pictures()))
    url = sdk.images.generate(**DRAW, response_format="url").data[0].url
    assert url.startswith(f"{base}/images/files/")
    assert PLAIN.get(url).content == PNG
    assert PLAIN.head(url).content == b""


def test_tampered_image_url_is_not_found(upstream, studio, studio_http, gateway):
    upstream.script(studio.raw, answer(pictures()))
    url = ask(studio_http, response_format="url").json()["data"][0]["url"]
    folder, _, name = url.rpartition("/")
    image, moment, signature = name.split("~")
    other = "0" * 32 + ".png"
    for wrong in (
        image,
        f"{image}~{moment}",
        f"{image}~{moment}~{signature[:-1]}",
        f"{image}~{moment}~{signature}x",
        f"{image}~{moment[:-1]}A~{signature}",
        f"{other}~{moment}~{signature}",
        f"..%2F{name}",
        f"{name}%00",
        "%2E%2E",
        "~",
        "%ff",
        "x" * 3000,
    ):
        envelope(PLAIN.get(f"{folder}/{wrong}"), 404)
    envelope(PLAIN.get(folder), 404, "unknown_url")
    envelope(PLAIN.post(url), 405)
    assert PLAIN.get(url).status_code == 200


def test_expired_image_url_is_not_found(start_gateway, upstream, studio):
    brief = start_gateway(IMAGE_URL_SECONDS="1")
    upstream.script(studio.raw, answer(pictures()))
    with httpx.Client(base_url=brief.base_url, headers=studio.authorization) as client:
        url = ask(client, response_format="url").json()["data"][0]["url"]
        assert client.get(url).content == PNG
        time.sleep(2.1)
        assert "expired" in envelope(client.get(url), 404, "not_found")["message"]


def test_expired_images_are_removed(upstream, studio, studio_http, settings):
    upstream.script(studio.raw, answer(pictures()))
    url = ask(studio_http, response_format="url").json()["data"][0]["url"]
    image_storage.remove_expired()
    assert PLAIN.get(url).status_code == 200
    settings.IMAGE_URL_SECONDS = -3600
    assert image_storage.remove_expired() >= 1
    envelope(PLAIN.get(url), 404, "not_found")


@pytest.mark.parametrize("asked", ["url", "b64_json", None])
@pytest.mark.parametrize("route", ROUTES)
def test_models_that_answer_with_base64_alone_are_not_asked_for_it(gateway, upstream, asked, route):
    world = factories.world(upstream.base_url)
    raw = factories.unique("gpt-image-2")
    entry = factories.catalog(world.provider, "painter", raw, ["image"])
    upstream.script(raw, answer(pictures()))
    headers = {"authorization": f"Bearer {factories.key(world.tenant, [entry]).plain}"}
    more = {"response_format": asked} if asked else {}
    with httpx.Client(base_url=gateway.base_url, headers=headers) as client:
        got = ask(client, route, model="painter", **more).json()["data"][0]
    assert set(got) == {"url" if asked == "url" else "b64_json"}
    assert b"response_format" not in upstream.last(raw).body


@pytest.mark.parametrize("partial", [0, 2])
def test_sdk_receives_partial_images(upstream, studio, sdk, partial):
    upstream.script(studio.raw, stream(*image_events(partial=partial), done=False, split=100))
    got = list(sdk.images.generate(**DRAW, stream=True, partial_images=partial))
    assert [one.type for one in got] == ["image_generation.partial_image"] * partial + [
        "image_generation.completed"
    ]
    assert [b64decode(one.b64_json) for one in got] == [*map(png, range(partial)), PNG]
    assert [one.partial_image_index for one in got[:-1]] == list(range(partial))
    assert got[-1].usage.to_dict() == IMAGE_USAGE
    assert (got[-1].size, got[-1].output_format) == ("1024x1024", "webp")
    assert upstream.last(studio.raw).json["partial_images"] == partial


@pytest.mark.parametrize("route", ["generations", "edits"])
def test_events_are_named_and_whole_whatever_the_provider_leaves_out(upstream, studio, studio_http, route):
    prefix = {"generations": "image_generation", "edits": "image_edit"}[route]
    lean = [
        typed(f"{prefix}.{kind}", b64_json=base64(PNG))
        for kind in ("partial_image", "partial_image", "completed")
    ]
    upstream.script(studio.raw, stream(*lean))
    more = {"stream": "true" if route == "edits" else True, "size": "512x512", "quality": "own word"}
    got = named_events(ask(studio_http, route, **more).text)
    said = {"size": "512x512", "quality": "auto", "background": "auto", "output_format": "png"}
    for one in got:
        assert {name: one[name] for name in said} == said
        assert abs(one["created_at"] - time.time()) < 60
    assert [one.get("partial_image_index") for one in got] == [0, 1, None]
    assert got[2]["usage"]["input_tokens_details"] == {"image_tokens": 0, "text_tokens": 0}


@pytest.mark.parametrize(
    "events",
    [
        image_events()[:2],
        [image_events()[0], typed("image_generation.completed", b64_json="")],
        [image_events()[0], typed("image_generation.completed", url="http://upstream.example/1.png")],
        [image_events()[0], answers.event(answers.error_body())],
    ],
    ids=["cut", "empty", "address", "error"],
)
@pytest.mark.parametrize("done", [True, False])
def test_a_stream_that_breaks_off_says_so(upstream, studio, studio_http, record, events, done):
    upstream.script(studio.raw, stream(*events, done=done, delay=0.02))
    response = ask(studio_http, stream=True)
    got = named_events(response.text)
    assert got[0]["type"] == "image_generation.partial_image"
    assert got[-1]["error"]["code"] == "upstream_error"
    row = record(response.headers["x-request-id"])
    assert (row.status, row.images) == (502, 0)


def test_the_sdk_edits_several_images_with_a_mask(upstream, studio, sdk):
    upstream.script(studio.raw, answer(pictures(**SAID)))
    images = [("one.png", png(1), "image/png"), ("two.png", png(2), "image/png")]
    got = sdk.images.edit(
        **EDIT,
        image=images,
        mask=("mask.png", png(3)),
        n=1,
        size="1024x1024",
        input_fidelity="high",
        quality="low",
    )
    assert b64decode(got.data[0].b64_json) == PNG
    assert got.output_format == "webp"
    sent = upstream.last(studio.raw)
    files = [(part.name, part.filename, part.data) for part in sent.form if part.filename is not None]
    assert files == [
        ("image[]", "file.png", png(1)),
        ("image[]", "file.png", png(2)),
        ("mask", "file.png", png(3)),
    ]
    fields = {part.name: part.data.decode() for part in sent.form if part.filename is None}
    assert fields == {
        **EDIT, "model": studio.raw, "n": "1", "size": "1024x1024", "input_fidelity": "high", "quality": "low",
        "response_format": "b64_json",
    }  # fmt: skip


def test_the_sdk_edits_one_image_and_watches(upstream, studio, sdk):
    upstream.script(studio.raw, stream(*image_events("image_edit", 1), done=False))
    got = list(sdk.images.edit(**EDIT, image=PICTURE, stream=True, partial_images=1))
    assert [one.type for one in got] == ["image_edit.partial_image", "image_edit.completed"]
    sent = upstream.last(studio.raw)
    assert (sent.path, sent.fields("stream"), sent.fields("partial_images")) == (
        "/v1/images/edits",
        ["true"],
        ["1"],
    )


@OUT_OF_DATE
def test_the_sdk_varies_an_image(upstream, studio, sdk):
    upstream.script(studio.raw, answer(pictures(png(1), png(2))))
    got = sdk.images.create_variation(
        model="fast", image=PICTURE, n=2, size="256x256", response_format="b64_json"
    )
    assert [b64decode(image.b64_json) for image in got.data] == [png(1), png(2)]
    sent = upstream.last(studio.raw)
    assert (sent.path, sent.fields("n"), sent.fields("response_format")) == (
        "/v1/images/variations",
        ["2"],
        ["b64_json"],
    )


def test_a_variation_does_not_stream(upstream, studio, studio_http):
    upstream.script(studio.raw, answer(pictures()))
    assert ask(studio_http, "variations", stream="true").json()["data"]
    assert upstream.last(studio.raw).fields("stream") == []


def test_default_model_is_the_only_image_model(upstream, studio, sdk):
    upstream.script(studio.raw, answer(pictures()))
    assert sdk.images.generate(prompt="A cat").data
    assert sdk.images.edit(prompt="A dog", image=PICTURE).data
    assert upstream.last(studio.raw).fields("model") == [studio.raw]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("asked", ["url", "b64_json"])
@pytest.mark.parametrize(
    "body",
    [
        {"data": []},
        {"data": None},
        {"data": [{}]},
        {"data": [5]},
        {"data": [{"b64_json": None}]},
        {"data": [{"b64_json": ""}]},
        {"data": [{"url": "http://upstream.example/1.png"}]},
        answers.error_body(),
    ],
    ids=str,
)
def test_an_answer_without_images_is_a_502(upstream, studio, studio_http, route, asked, body):
    upstream.script(studio.raw, answer(body))
    response = ask(studio_http, route, response_format=asked)
    envelope(response, 502, "upstream_error")
    assert "upstream.example" not in response.text


@pytest.mark.parametrize("b64_json", ["own words", "AAAA", base64(b"<html>"), base64(b"RIFF----WAVE")])
def test_invalid_image_is_not_stored(upstream, studio, studio_http, b64_json):
    upstream.script(studio.raw, answer({"data": [{"b64_json": b64_json}]}))
    envelope(ask(studio_http, response_format="url"), 502, "upstream_error")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"n": "2"}, "n"),
        ({"response_format": "png"}, "response_format"),
        ({"output_format": "bmp"}, "output_format"),
        ({"output_compression": 101}, "output_compression"),
        ({"partial_images": 4}, "partial_images"),
        ({"size": 512}, "size"),
        ({"quality": 1}, "quality"),
        ({"stream": "yes"}, "stream"),
    ],
    ids=str,
)
def test_a_bad_parameter_is_named(upstream, studio, studio_http, body, param):
    upstream.script(studio.raw)
    assert envelope(ask(studio_http, **body), 400)["param"] == param
    assert upstream.received(studio.raw) == []


@pytest.mark.parametrize("route", ["edits", "variations"])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": "0"}, "n"),
        ({"n": "many"}, "n"),
        ({"n": "1.5"}, "n"),
        ({"response_format": "png"}, "response_format"),
        ({"output_format": "bmp"}, "output_format"),
        ({"partial_images": "4"}, "partial_images"),
    ],
    ids=str,
)
def test_a_bad_field_is_named(upstream, studio, studio_http, route, fields, param):
    upstream.script(studio.raw)
    assert envelope(ask(studio_http, route, **fields), 400)["param"] == param
    assert upstream.received(studio.raw) == []


def test_an_edit_needs_a_prompt_and_a_variation_does_not(upstream, studio, studio_http):
    upstream.script(studio.raw, answer(pictures()))
    files = {"image": PICTURE}
    without = studio_http.post("/images/edits", data={"model": "fast"}, files=files)
    assert envelope(without, 400, "missing_required_parameter")["param"] == "prompt"
    assert studio_http.post("/images/variations", data={"model": "fast"}, files=files).status_code == 200


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("asked", ["url", "b64_json"])
def test_images_are_metered(upstream, studio, studio_http, record, route, asked):
    upstream.script(studio.raw, answer(pictures(PNG, PNG)))
    row = record(ask(studio_http, route, n=2, response_format=asked).headers["x-request-id"])
    assert (row.route, row.images) == (f"/images/{route}", 2)
    assert (row.input_tokens, row.output_tokens, row.estimated) == (8, 100, False)


@pytest.mark.parametrize("usage", [None, "own words", {"input_tokens": "x"}], ids=str)
def test_images_are_metered_where_no_tokens_are_reported(upstream, studio, studio_http, record, usage):
    upstream.script(studio.raw, answer(pictures(usage=usage)))
    response = ask(studio_http)
    assert "usage" not in response.json()
    row = record(response.headers["x-request-id"])
    assert (row.images, row.input_tokens, row.estimated) == (1, 0, False)


def test_streamed_images_are_metered(upstream, studio, studio_http, record):
    upstream.script(studio.raw, stream(*image_events(), *image_events(partial=0), done=False))
    response = ask(studio_http, stream=True)
    assert [one["type"].partition(".")[2] for one in named_events(response.text)] == [
        "partial_image",
        "partial_image",
        "completed",
        "completed",
    ]
    row = record(response.headers["x-request-id"])
    assert (row.images, row.output_tokens, row.streamed) == (2, 100, True)
