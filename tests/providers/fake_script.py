"""The row of `fake` in the conformance suite: every behaviour is an option of the raw model id."""

from urllib.parse import urlencode

from tests.providers.script import Behaviour

STREAMED = {"chat", "completions", "speech", "transcriptions", "image_generations", "image_edits"}
ERRORS = {
    "invalid": "400", "context_length": "context_length", "content_filter": "content_filter",
    "unauthorized": "401", "forbidden": "403", "not_found": "404", "rate_limit": "429", "quota": "quota",
    "failure": "500", "unavailable": "503", "timeout": "504",
}  # fmt: skip


class FakeScript:
    def whole(self, operation: str) -> Behaviour:
        return Behaviour()

    def streamed(self, operation: str) -> Behaviour | None:
        return Behaviour() if operation in STREAMED else None

    def failing(self, error: str, param: str = "") -> Behaviour:
        return Behaviour(options=urlencode({"error": ERRORS[error], "param": param, "retry_after": 7}))

    def slow(self, operation: str, *, streamed: bool, before: float = 0, between: float = 0) -> Behaviour:
        return Behaviour(options=urlencode({"delay": before, "chunk_delay": between}))

    def breaking_off(self, operation: str) -> Behaviour:
        return Behaviour(options="fail_after=2")

    def models(self) -> Behaviour:
        return Behaviour()
