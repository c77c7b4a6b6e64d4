"""Images by the placeholder of an image model."""

import base64
import io
import json

import pytest
from PIL import Image

IMAGE_MODEL = "pillow-sketch"
PROMPT = "A red fox under an old oak tree"


def generate(client, **parameters):
    return client.images.generate(**{"model": IMAGE_MODEL, "prompt": PROMPT, "size": "256x256", **parameters})


def pictures(response):
    return [Image.open(io.BytesIO(base64.b64decode(item.b64_json))) for item in response.data]


def png(colour, size=(256, 256)):
    file = io.BytesIO()
    Image.new("RGBA", size, colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def source():
    return png((0, 128, 0, 255))


def test_image_has_the_requested_size(client):
    response = generate(client, size="512x256")
    [picture] = pictures(response)
    assert (picture.format, picture.size) == ("PNG", (512, 256))
    assert (response.size, response.output_format, response.background) == ("512x256", "png", "opaque")
    assert len(picture.convert("RGB").getcolors(2**24)) > 20
    assert pictures(generate(client, size="auto"))[0].size == (1024, 1024)


def test_same_prompt_and_seed_produce_the_same_image(client):
    def drawn(prompt=PROMPT, **extra):
        return generate(client, prompt=prompt, extra_body=extra).data[0].b64_json

    assert drawn() == drawn() == drawn(seed=0)
    assert len({drawn(), drawn(seed=1), drawn("A blue whale")}) == 3


def test_images_of_one_request_differ(client):
    response = generate(client, n=3)
    assert len({item.b64_json for item in response.data}) == 3


def test_prompt_and_notice_are_written_on_the_image(client):
    """White letters on dark stripes: in the middle and at the bottom, and nowhere else."""

    def white(picture, top, bottom):
        return picture.crop((0, top, 1024, bottom)).convert("L").histogram()[255]

    [long, short] = (
        pictures(generate(client, prompt=prompt, size="1024x1024"))[0].convert("RGB")
        for prompt in (PROMPT * 3, "A")
    )
    assert white(long, 256, 768) > 5 * white(short, 256, 768) > 0
    assert white(long, 960, 1024) > 200
    assert white(short, 960, 1024) > 200


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_output_formats(client, form):
    response = generate(client, output_format=form, output_compression=50)
    assert pictures(response)[0].format == form.upper()
    assert response.output_format == form


def test_background_can_be_transparent(client):
    [picture] = pictures(generate(client, background="transparent"))
    assert picture.mode == "RGBA"
    assert picture.getchannel("A").getextrema()[0] == 0
    [opaque] = pictures(generate(client))
    assert opaque.convert("RGBA").getchannel("A").getextrema() == (255, 255)


def test_usage_counts_words_and_patches(client, source):
    used = generate(client, n=2).usage
    assert (used.input_tokens, used.output_tokens) == (len(PROMPT.split()), 2 * 64)
    assert used.input_tokens_details.text_tokens == used.input_tokens
    edited = client.images.edit(model=IMAGE_MODEL, image=("a.png", source), prompt="A hat").usage
    assert edited.input_tokens_details.image_tokens == 64
    assert edited.input_tokens == 2 + 64


def test_stream_sends_partial_images(client):
    events = list(generate(client, stream=True, partial_images=2))
    assert [event.type for event in events] == [
        "image_generation.partial_image",
        "image_generation.partial_image",
        "image_generation.completed",
    ]
    assert [event.partial_image_index for event in events[:-1]] == [0, 1]
    assert len({event.b64_json for event in events}) == 3
    last = events[-1]
    assert last.b64_json == generate(client).data[0].b64_json
    assert (last.size, last.quality, last.background, last.output_format) == (
        "256x256",
        "low",
        "opaque",
        "png",
    )
    assert last.usage.output_tokens == 64


def test_streamed_events_are_named(http):
    body = {"model": IMAGE_MODEL, "prompt": PROMPT, "size": "64x64", "stream": True}
    response = http.post("/v1/images/generations", json=body)
    name, data, *rest = response.text.splitlines()
    assert name == "event: image_generation.completed"
    assert json.loads(data.removeprefix("data: "))["type"] == "image_generation.completed"
    assert rest == [""]


def test_edit_changes_only_the_masked_area(client, source):
    mask = Image.new("RGBA", (256, 256), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (128, 0, 256, 256))
    file = io.BytesIO()
    mask.save(file, "PNG")
    response = client.images.edit(
        model=IMAGE_MODEL, image=("a.png", source), mask=("m.png", file.getvalue()), prompt="A hat"
    )
    [picture] = pictures(response)
    # The upper third is free of words.
    left, right = (
        picture.convert("RGB").crop(box).getcolors(2**24) for box in ((0, 0, 128, 80), (128, 0, 256, 80))
    )
    assert left == [(128 * 80, (0, 128, 0))]
    assert len(right) > 2


def test_several_images_are_edited_into_one(client, source):
    response = client.images.edit(
        model=IMAGE_MODEL,
        image=[("a.png", png((200, 0, 0, 255))), ("b.png", source)],
        prompt="Both",
        size="512x256",
    )
    [picture] = pictures(response)
    colours = {colour: count for count, colour in picture.convert("RGB").getcolors(2**24)}
    assert picture.size == (512, 256)
    assert colours[200, 0, 0] > 1000
    assert colours[0, 128, 0] > 1000


def test_an_edit_streams(client, source):
    events = list(
        client.images.edit(
            model=IMAGE_MODEL, image=("a.png", source), prompt="A hat", stream=True, partial_images=1
        )
    )
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]


def test_variations_differ(http, source):
    response = http.post(
        "/v1/images/variations", data={"model": IMAGE_MODEL, "n": "2"}, files={"image": ("a.png", source)}
    ).json()
    assert len({item["b64_json"] for item in response["data"]}) == 2
    assert response["size"] == "256x256"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "a" * 32_001}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"size": "large"}, "size"),
        ({"size": "9999x9999"}, "size"),
        ({"size": "8x8"}, "size"),
        ({"size": [256]}, "size"),
        ({"response_format": "url"}, "response_format"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_format": "jpeg", "background": "transparent"}, "background"),
        ({"output_compression": 101}, "output_compression"),
        ({"partial_images": 4, "stream": True}, "partial_images"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_invalid_image_field_is_400_with_its_name(http, fields, param):
    body = {"model": IMAGE_MODEL, "prompt": PROMPT, "size": "64x64", **fields}
    response = http.post("/v1/images/generations", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def bomb():
    """A few bytes that say they are a picture of 400 megapixels."""
    file = bytearray(png((0, 0, 0, 255)))
    file[16:24] = (20_000).to_bytes(4, "big") * 2
    return bytes(file)


@pytest.mark.parametrize(
    "content",
    [b"", b"no picture", png((0, 0, 0, 0))[:60], b"GIF89a" + b"\0" * 50, bomb()],
    ids=["empty", "text", "cut", "gif", "bomb"],
)
def test_upload_that_is_not_an_image_is_400(http, source, content):
    form = {"model": IMAGE_MODEL, "prompt": PROMPT}
    for files in ({"image": ("a.png", content)}, {"image": ("a.png", source), "mask": ("m.png", content)}):
        response = http.post("/v1/images/edits", data=form, files=files)
        assert response.status_code == 400
        assert response.json()["error"]["param"] == list(files)[-1]


@pytest.mark.parametrize(
    ("fields", "files", "param"),
    [
        ({}, [], "image"),
        ({"prompt": ""}, ["image"], "prompt"),
        ({"n": "many"}, ["image"], "n"),
        ({}, ["image[]"] * 17, "image"),
        ({}, ["image", "mask", "mask"], "mask"),
    ],
)
def test_invalid_edit_form_is_400_with_its_name(http, source, fields, files, param):
    sent = [(name, ("a.png", source)) for name in files] or [("other", ("a", b"b"))]
    response = http.post(
        "/v1/images/edits", data={"model": IMAGE_MODEL, "prompt": PROMPT, **fields}, files=sent
    )
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
