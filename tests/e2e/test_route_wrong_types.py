"""A provider that sends a wrong type anywhere, on every route: responses that OpenAI's types accept, or a 502."""

import json
from typing import Any

import pytest
from openai.types import Completion, CreateEmbeddingResponse, ImagesResponse, ModerationCreateResponse
from openai.types.audio import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionStreamEvent,
    TranscriptionVerbose,
)
from openai.types.image_edit_stream_event import ImageEditStreamEvent
from openai.types.image_gen_stream_event import ImageGenStreamEvent
from pydantic import BaseModel, ConfigDict, FiniteFloat, TypeAdapter

from tests.answers import answer, stream, usage
from tests.e2e import media
from tests.e2e.mutations import changed, places
from tests.wire import envelope

ODD: list[Any] = [None, True, -1, 1e300, "text", [1], [{}]]
UNTYPED = {("token_logprobs", 0), ("top_logprobs", 0)}
LOGPROBS = {"tokens": ["a"], "token_logprobs": [-0.5], "text_offset": [0], "top_logprobs": [{"a": -0.5}]}
HEARD = {"data": {"model": "fast"}, "files": {"file": media.SOUND}}
PLAIN_TRANSCRIPT = {
    "text": "Hello",
    "usage": media.TOKENS,
    "logprobs": [{"token": "a", "logprob": -0.5, "bytes": [97]}],
    "languages": [{"code": "en"}],
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Document(_Strict):
    text: str


class _Ranked(_Strict):
    index: int
    relevance_score: FiniteFloat
    document: _Document


class _Usage(_Strict):
    prompt_tokens: int
    total_tokens: int


class Reranked(_Strict):
    """What clients of Cohere's and Jina's APIs read: OpenAI's SDK has no type for it."""

    id: str
    model: str
    results: list[_Ranked]
    usage: _Usage


def heard(response_format: str) -> dict[str, Any]:
    return {**HEARD, "data": {"model": "fast", "response_format": response_format}}


#: By name: path, request, the answer, and the type that has to take whatever becomes of it.
WHOLE: dict[str, tuple[str, dict[str, Any], dict[str, Any], Any]] = {
    "completion": (
        "/completions",
        {"json": {"model": "fast", "prompt": "Once"}},
        media.text_completion(media.text_choice(logprobs=LOGPROBS), usage=usage(4, 6)),
        Completion,
    ),
    "embedding": (
        "/embeddings",
        {"json": {"model": "fast", "input": "Hello"}},
        media.embedded([0.5, 1]),
        CreateEmbeddingResponse,
    ),
    "moderation": (
        "/moderations",
        {"json": {"model": "fast", "input": "Hello"}},
        {"id": "modr-1", "model": "raw", "results": [media.moderated(True)]},
        ModerationCreateResponse,
    ),
    "rerank": (
        "/rerank",
        {"json": {"model": "fast", "query": "Hello", "documents": ["one", "two"], "return_documents": True}},
        media.reranked((1, 0.9), (0, 0.1)),
        Reranked,
    ),
    "images": (
        "/images/generations",
        {"json": {"model": "fast", "prompt": "A cat"}},
        {
            **media.pictures(**media.SAID),
            "usage": {**media.IMAGE_USAGE, "output_tokens_details": {"image_tokens": 1, "text_tokens": 0}},
        },
        ImagesResponse,
    ),
    "json": ("/audio/transcriptions", heard("json"), PLAIN_TRANSCRIPT, Transcription),
    "verbose": ("/audio/transcriptions", heard("verbose_json"), media.VERBOSE, TranscriptionVerbose),
    "diarized": ("/audio/transcriptions", heard("diarized_json"), media.DIARIZED, TranscriptionDiarized),
}
STREAMS: dict[str, tuple[str, dict[str, Any], list[Any], Any]] = {
    "transcript": (
        "/audio/transcriptions",
        {**HEARD, "data": {"model": "fast", "stream": "true"}},
        [
            {"type": "transcript.text.delta", "delta": "Hello", "segment_id": "s",
             "logprobs": PLAIN_TRANSCRIPT["logprobs"]},
            media.SPOKEN,
            {"type": "transcript.text.done", **PLAIN_TRANSCRIPT},
        ],
        TranscriptionStreamEvent,
    ),
    "image": (
        "/images/generations",
        {"json": {"model": "fast", "prompt": "A cat", "stream": True}},
        [],
        ImageGenStreamEvent,
    ),
    "edit": (
        "/images/edits",
        {"data": {"model": "fast", "prompt": "A cat", "stream": "true"}, "files": {"image": media.PICTURE}},
        [],
        ImageEditStreamEvent,
    ),
}  # fmt: skip
for _name, _prefix in (("image", "image_generation"), ("edit", "image_edit")):
    STREAMS[_name][2].extend(
        json.loads(one.partition(b"data: ")[2]) for one in media.image_events(_prefix, partial=1)
    )


@pytest.mark.parametrize("name", WHOLE)
def test_response_with_one_wrong_type_is_valid_or_502(upstream, studio, studio_http, name):
    path, request, body, kind = WHOLE[name]
    upstream.script(studio.raw, answer(body))
    kind.model_validate(studio_http.post(path, **request).json())
    # OpenAI's own answers have no probability for the first token of an echo, though its types do not say so.
    cases = [(at, odd) for at in places(body) for odd in ODD if at[-2:] not in UNTYPED or odd is not None]
    upstream.script(studio.raw, *[answer(changed(body, at, odd)) for at, odd in cases])
    for at, odd in cases:
        response = studio_http.post(path, **request)
        if response.status_code != 200:
            envelope(response, 502, "upstream_error")
            continue
        try:
            kind.model_validate(response.json())
        except ValueError as error:
            raise AssertionError(f"{at} = {odd!r}: {error}\n{response.text}") from None


@pytest.mark.parametrize("name", STREAMS)
def test_stream_with_one_wrong_type_is_valid_or_an_error(upstream, studio, studio_http, name):
    path, request, pieces, kind = STREAMS[name]
    adapter = TypeAdapter(kind)
    cases = [(at, odd) for at in places(pieces) if len(at) > 1 for odd in ODD]
    plays = [stream(*changed(pieces, at, odd), together=True, done=False) for at, odd in cases]
    upstream.script(studio.raw, stream(*pieces), *plays)
    assert '"error"' not in studio_http.post(path, **request).text
    for at, odd in cases:
        response = studio_http.post(path, **request)
        if response.status_code != 200:
            envelope(response, 502, "upstream_error")
            continue
        for frame in response.text.removesuffix("\n\n").split("\n\n"):
            parsed = json.loads(frame.partition("data: ")[2])
            if "error" in parsed:
                assert parsed["error"]["code"] == "upstream_error"
                continue
            try:
                adapter.validate_python(parsed)
            except ValueError as error:
                raise AssertionError(f"{at} = {odd!r}: {error}\n{frame}") from None
