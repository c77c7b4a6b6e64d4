"""The row of `openai_compatible` in the conformance suite."""

from typing import Any

from tests.answers import CUT, answer, chunks, completion, error_body, event, framed, head, stream, usage
from tests.e2e import media
from tests.providers.script import OWN_WORDS, Behaviour
from tests.upstream import Play, Wire

WHOLE: dict[str, Any] = {
    "chat": completion(),
    "completions": media.text_completion(usage=usage()),
    "embeddings": media.embedded([0.5, -0.5]),
    "moderations": {"results": [media.moderated(True)]},
    "rerank": media.reranked((0, 0.9)),
    "transcriptions": media.VERBOSE,
    "translations": media.VERBOSE,
    "image_generations": media.pictures(),
    "image_edits": media.pictures(),
    "image_variations": media.pictures(),
}
STREAMED: dict[str, list[Any]] = {
    "chat": chunks("Hello ", "there.", usage=usage()),
    "completions": [media.text_completion(media.text_choice(text)) for text in ("Once ", "upon a time.")],
    "speech": list(media.SPEECH_EVENTS),
    "transcriptions": list(media.TRANSCRIPT_EVENTS),
    "image_generations": media.image_events(),
    "image_edits": media.image_events("image_edit"),
}
STATUSES = {
    "invalid": 400, "context_length": 400, "content_filter": 400, "unauthorized": 401, "forbidden": 403,
    "not_found": 404, "rate_limit": 429, "quota": 429, "failure": 500, "unavailable": 503, "timeout": 504,
}  # fmt: skip
CODES = {
    "context_length": "context_length_exceeded",
    "content_filter": "content_filter",
    "quota": "insufficient_quota",
}


def _slow_stream(events: list[Any], before: float, between: float) -> Play:
    async def play(wire: Wire) -> None:
        await wire.pause(before)
        await wire.send(head(content_type="text/event-stream") + b"transfer-encoding: chunked\r\n\r\n")
        for one in [*events, "[DONE]"]:
            await wire.send(framed(one if isinstance(one, bytes) else event(one)))
            await wire.pause(between)
        await wire.send(b"0\r\n\r\n")

    return play


class OpenAIScript:
    def whole(self, operation: str) -> Behaviour:
        if operation == "speech":
            return Behaviour(media.sound(b"RIFF first ", b"second"))
        return Behaviour(answer(WHOLE[operation]))

    def streamed(self, operation: str) -> Behaviour | None:
        return Behaviour(stream(*STREAMED[operation])) if operation in STREAMED else None

    def failing(self, error: str, param: str = "") -> Behaviour:
        body = error_body(f"{OWN_WORDS} on {param}", code=CODES.get(error), param=param or None)
        return Behaviour(answer(body, STATUSES[error], headers=[("retry-after", "7")]))

    def slow(self, operation: str, *, streamed: bool, before: float = 0, between: float = 0) -> Behaviour:
        if not streamed:
            return Behaviour(answer(WHOLE[operation], wait=before))
        return Behaviour(_slow_stream(STREAMED[operation], before, between))

    def breaking_off(self, operation: str) -> Behaviour:
        return Behaviour(stream(*STREAMED[operation][:2], delay=0.05, done=False, then=CUT))

    def models(self) -> Behaviour:
        return Behaviour(answer({"data": [{"id": "raw-chat"}]}))
