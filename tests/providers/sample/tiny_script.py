"""The row of the imaginary kind `tiny` in the conformance suite."""

from typing import Any

from tests.answers import CUT, answer, event, framed, head, stream
from tests.providers.script import OWN_WORDS, Behaviour
from tests.upstream import Play, Wire

REPLY = {"reply": "Hello there.", "spent": [3, 2]}
WORDS: list[Any] = [{"word": "Hello "}, {"word": "there."}, {"word": "", "last": True, "spent": [3, 2]}]
#: By error: the status, and the wire's own code.
ERRORS = {
    "invalid": (400, "bad"), "context_length": (400, "too_long"), "content_filter": (400, "improper"),
    "unauthorized": (401, "who"), "forbidden": (403, "no"), "not_found": (404, "where"),
    "rate_limit": (429, "busy"), "quota": (429, "unpaid"), "failure": (500, "broken"),
    "unavailable": (503, "away"), "timeout": (504, "slow"),
}  # fmt: skip


class TinyScript:
    def whole(self, operation: str) -> Behaviour:
        return Behaviour(answer(REPLY))

    def streamed(self, operation: str) -> Behaviour | None:
        return Behaviour(stream(*WORDS, done=False))

    def failing(self, error: str, param: str = "") -> Behaviour:
        status, code = ERRORS[error]
        body = {"problem": code, "words": OWN_WORDS, "field": param}
        return Behaviour(answer(body, status, headers=[("retry-after", "7")]))

    def slow(self, operation: str, *, streamed: bool, before: float = 0, between: float = 0) -> Behaviour:
        if not streamed:
            return Behaviour(answer(REPLY, wait=before))

        async def play(wire: Wire) -> None:
            await wire.pause(before)
            await wire.send(head(content_type="text/event-stream") + b"transfer-encoding: chunked\r\n\r\n")
            for one in WORDS:
                await wire.send(framed(event(one)))
                await wire.pause(between)

        return Behaviour(play)

    def breaking_off(self, operation: str) -> Behaviour:
        cut: Play = stream(*WORDS[:2], delay=0.05, done=False, then=CUT)
        return Behaviour(cut)

    def models(self) -> Behaviour:
        return Behaviour(answer({"names": ["raw-chat"]}))
