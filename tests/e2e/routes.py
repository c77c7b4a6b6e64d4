"""Every route of the API: what opens it, an ordinary request, and what a provider full of canaries answers."""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from tests import canaries
from tests.answers import answer, event, stream
from tests.canaries import RAW_MODEL, canary, planted_usage, unknown
from tests.upstream import Play
from tests.wire import chat

#: The capability behind each scope that calls a model.
CAPABLE = {
    "inference:chat": "chat",
    "inference:embed": "embed",
    "inference:transcribe": "transcribe",
    "inference:speech": "speech",
    "inference:image": "image",
    "inference:moderate": "moderate",
    "inference:rerank": "rerank",
}
CAPABILITIES = tuple(CAPABLE.values())
PNG = b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()
SOUND = ("hello.wav", b"RIFF" + bytes(64), "audio/wav")
NOTES = ("notes.txt", b"The office opens at nine.", "text/plain")
PICTURE = ("cat.png", b"\x89PNG\r\n\x1a\n" + bytes(64), "image/png")


@dataclass(frozen=True)
class Route:
    """One way to call the API. `good` is what of the model's own work has to reach the client."""

    method: str
    path: str
    scope: str
    request: dict[str, Any] = field(default_factory=dict, repr=False)
    play: Play | None = field(default=None, repr=False)
    good: str = ""
    #: Tells apart two ways to call one route.
    how: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.how}".strip()


def _answered(body: Any) -> Play:
    return answer(body, headers=canaries.headers())


def _streamed(*events: Any, done: bool = True) -> Play:
    return stream(*events, headers=canaries.headers(), done=done)


def _typed(kind: str, **fields: Any) -> bytes:
    """A named event of the newer kind of stream."""
    body = {"type": kind, "sequence_number": 1, "event_id": canary("typed-id"), **fields, **unknown("typed")}
    return f"event: {kind}\n".encode() + event(body)


def _text_choice(**more: Any) -> dict[str, Any]:
    base = {"index": 0, "text": "A clean sentence.", "logprobs": None, "finish_reason": "stop"}
    return {**base, "stop_reason": canary("stop"), **unknown("text-choice"), **more}


def _top(kind: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": canary("id"),
        "object": kind,
        "created": 1790000000,
        "model": RAW_MODEL,
        **fields,
        **unknown("top"),
    }


SEGMENT = {
    "id": 0, "seek": 0, "start": 0.0, "end": 1.0, "text": "A clean sentence.", "tokens": [1, canary("token")],
    "temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0, **unknown("segment"),
}  # fmt: skip
TRANSCRIPT = {
    "text": "A clean sentence.", "language": "english", "duration": 1.0, "task": "transcribe",
    "segments": [SEGMENT], "words": [{"word": "A", "start": 0, "end": 1, **unknown("word")}],
    "logprobs": [{"token": "A", "logprob": -0.1, "bytes": [65], **unknown("transcript-logprob")}],
    "usage": {"type": "duration", "seconds": 1, **unknown("seconds")}, "x_groq": {"id": canary("groq")},
    **unknown("transcript"),
}  # fmt: skip
IMAGE = {
    "b64_json": PNG,
    "url": f"https://{canaries.MARK}.example/1.png",
    "revised_prompt": "A cat.",
    **unknown("image"),
}
IMAGES = {"id": canary("id"), "created": 1790000000, "data": [IMAGE], "background": canary("background"),
          "quality": canary("quality"), "size": canary("size"), "output_format": canary("format"),
          "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, **unknown("image-usage")},
          **unknown("images")}  # fmt: skip
PARTIAL = {"b64_json": PNG, "created_at": 1790000000, "size": "1024x1024", "quality": "high",
           "background": "opaque", "output_format": "png"}  # fmt: skip
MODERATION = _top(
    "moderation",
    results=[
        {
            "flagged": True,
            "categories": {"hate": True, canary("category"): True},
            "category_scores": {"hate": 0.5, canary("score"): 1.0},
            "category_applied_input_types": {"hate": ["text", canary("kind")]},
            **unknown("moderation"),
        }
    ],
)
RANKED = {"index": 0, "relevance_score": 0.75, "document": {"text": canary("document")}, **unknown("ranked")}
EMBEDDED = {"object": canary("object"), "index": 0, "embedding": [0.5, -0.5], **unknown("embedding")}

ROUTES = [
    Route("GET", "/models", "models:read"),
    Route("GET", "/models/fast", "models:read"),
    Route("POST", "/chat/completions", "inference:chat", {"json": chat("fast")}, _answered(canaries.completion()),
          "A clean sentence."),
    Route("POST", "/chat/completions", "inference:chat", {"json": chat("fast", stream=True)},
          _streamed(*canaries.events()), "A clean ", "stream"),
    Route("POST", "/completions", "inference:chat", {"json": {"model": "fast", "prompt": "Once"}},
          _answered(_top("text_completion", choices=[_text_choice()], usage=planted_usage())), "A clean sentence."),
    Route("POST", "/completions", "inference:chat", {"json": {"model": "fast", "prompt": "Once", "stream": True}},
          _streamed(_top("text_completion", choices=[_text_choice(finish_reason=None)]),
                    _top("text_completion", choices=[_text_choice(text="")], usage=planted_usage())),
          "A clean sentence.", "stream"),
    Route("POST", "/embeddings", "inference:embed", {"json": {"model": "fast", "input": "Hello"}},
          _answered(_top("list", data=[EMBEDDED], usage={"prompt_tokens": 1, "total_tokens": 1, **unknown("u")})),
          "0.5"),
    Route("POST", "/audio/transcriptions", "inference:transcribe",
          {"data": {"model": "fast"}, "files": {"file": SOUND}},
          _answered(TRANSCRIPT), "A clean sentence."),
    Route("POST", "/audio/transcriptions", "inference:transcribe",
          {"data": {"model": "fast", "response_format": "verbose_json"}, "files": {"file": SOUND}},
          _answered(TRANSCRIPT), "A clean sentence.", "verbose"),
    Route("POST", "/audio/transcriptions", "inference:transcribe",
          {"data": {"model": "fast", "stream": "true"}, "files": {"file": SOUND}},
          _streamed(_typed("transcript.text.delta", delta="A clean ", segment_id=canary("segment-id"),
                           logprobs=[{"token": "A", "logprob": -0.1, "bytes": [65], **unknown("delta-logprob")}]),
                    _typed(canary("kind"), delta="no"),
                    _typed("transcript.text.done", text="A clean sentence.", usage=planted_usage()), done=False),
          "A clean sentence.", "stream"),
    Route("POST", "/audio/translations", "inference:transcribe",
          {"data": {"model": "fast"}, "files": {"file": SOUND}},
          _answered(TRANSCRIPT), "A clean sentence."),
    Route("POST", "/audio/speech", "inference:speech",
          {"json": {"model": "fast", "input": "Hello", "voice": "alloy"}},
          answer(b"ID3 a clean sound", headers=canaries.headers(), content_type=f"audio/{canary('type')}"),
          "a clean sound"),
    Route("POST", "/audio/speech", "inference:speech",
          {"json": {"model": "fast", "input": "Hello", "voice": "alloy", "stream_format": "sse"}},
          _streamed(_typed("speech.audio.delta", audio="AAAA"),
                    _typed("speech.audio.done", usage={"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}),
                    done=False), "AAAA", "stream"),
    Route("POST", "/images/generations", "inference:image", {"json": {"model": "fast", "prompt": "A cat"}},
          _answered(IMAGES), PNG),
    Route("POST", "/images/generations", "inference:image",
          {"json": {"model": "fast", "prompt": "A cat", "response_format": "url"}}, _answered(IMAGES),
          "/images/files/", "url"),
    Route("POST", "/images/generations", "inference:image",
          {"json": {"model": "fast", "prompt": "A cat", "stream": True}},
          _streamed(_typed("image_generation.partial_image", partial_image_index=0, **PARTIAL),
                    _typed("image_generation.completed", **PARTIAL, usage=planted_usage()), done=False),
          PNG, "stream"),
    Route("POST", "/images/edits", "inference:image",
          {"data": {"model": "fast", "prompt": "A dog"}, "files": {"image": PICTURE}}, _answered(IMAGES), PNG),
    Route("POST", "/images/variations", "inference:image",
          {"data": {"model": "fast"}, "files": {"image": PICTURE}},
          _answered(IMAGES), PNG),
    Route("POST", "/moderations", "inference:moderate", {"json": {"model": "fast", "input": "Hello"}},
          _answered(MODERATION), '"flagged":true'),
    Route("POST", "/rerank", "inference:rerank",
          {"json": {"model": "fast", "query": "Hello", "documents": ["Good day"], "return_documents": True}},
          _answered(_top("rerank", results=[RANKED], usage={"total_tokens": 3, **unknown("rerank-usage")})),
          '"relevance_score":0.75,"document":{"text":"Good day"}'),
    *(
        Route(method, path, "conversations:write", {} if body is None else {"json": body})
        for method, path, body in (
            ("POST", "/conversations", {}),
            ("GET", "/conversations/conv_1", None),
            ("POST", "/conversations/conv_1", {"metadata": {}}),
            ("DELETE", "/conversations/conv_1", None),
            ("GET", "/conversations/conv_1/items", None),
            ("POST", "/conversations/conv_1/items", {"items": []}),
            ("GET", "/conversations/conv_1/items/msg_1", None),
            ("DELETE", "/conversations/conv_1/items/msg_1", None),
        )
    ),
    Route("POST", "/files", "files:write", {"data": {"purpose": "assistants"}, "files": {"file": NOTES}}),
    Route("GET", "/files", "files:read"),
    Route("GET", "/files/file-none", "files:read"),
    Route("GET", "/datasets", "datasets:read"),
    Route("POST", "/datasets", "datasets:write", {"json": {"name": "handbook"}}),
    Route("GET", "/datasets/ds_none", "datasets:read"),
    Route("POST", "/datasets/ds_none", "datasets:write", {"json": {"title": "Handbook"}}),
    Route("DELETE", "/datasets/ds_none", "datasets:write"),
    Route("DELETE", "/files/file-none", "files:write"),
    Route("GET", "/files/file-none/content", "files:read"),
    Route("POST", "/datasets/ds_none/files", "files:write", {"files": {"file": NOTES}}),
    Route("GET", "/datasets/ds_none/files", "datasets:read"),
    Route("GET", "/datasets/ds_none/files/file-none", "datasets:read"),
    Route("DELETE", "/datasets/ds_none/files/file-none", "files:write"),
    Route("POST", "/conversations/files", "files:write",
          {"files": {"file": NOTES}}, how="in conv_none"),
    Route("POST", "/datasets/ds_none/search", "datasets:read", {"json": {"query": "When?"}}),
    *(
        Route(method, f"/vector_stores{path}", f"datasets:{scope}", {} if body is None else {"json": body})
        for method, path, scope, body in (
            ("GET", "", "read", None),
            ("POST", "", "write", {}),
            ("GET", "/ds_none", "read", None),
            ("POST", "/ds_none", "write", {"name": "Handbook"}),
            ("DELETE", "/ds_none", "write", None),
            ("POST", "/ds_none/search", "read", {"query": "When?"}),
            ("GET", "/ds_none/files", "read", None),
            ("POST", "/ds_none/files", "write", {"file_id": "file-none"}),
            ("GET", "/ds_none/files/file-none", "read", None),
            ("POST", "/ds_none/files/file-none", "write", {"attributes": {}}),
            ("DELETE", "/ds_none/files/file-none", "write", None),
            ("GET", "/ds_none/files/file-none/content", "read", None),
            ("POST", "/ds_none/file_batches", "write", {"file_ids": ["file-none"]}),
            ("GET", "/ds_none/file_batches/vsfb_none", "read", None),
            ("POST", "/ds_none/file_batches/vsfb_none/cancel", "write", None),
            ("GET", "/ds_none/file_batches/vsfb_none/files", "read", None),
        )
    ),
]  # fmt: skip
#: Those that call a provider.
CALLING = [route for route in ROUTES if route.play]

#: Patterns of addresses that ask for no key: the description of the API, and what a signature in the address opens.
KEYLESS = {"docs", "images/files/<str:name>", "openapi.json"}
