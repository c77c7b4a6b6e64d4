"""Answers that need no model: a text that the operator wrote, in the place of a provider's answer."""

from collections.abc import AsyncGenerator, Collection
from typing import Any, Protocol

from inference.providers.base import Body, ProviderConnection

JSON = dict[str, Any]
NOTHING_USED: JSON = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


class Answering(Protocol):
    """Whoever gives a chat's answer: an adapter, or what stands in for one. See ``providers.base.Adapter``."""

    async def fetch_json(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> JSON: ...

    def stream_events(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[list[JSON], None]: ...


class Ready:
    """Gives a text as the answer, as often as the request asks for one; it uses no tokens."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def fetch_json(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> JSON:
        return {"choices": self._choices("message", body), "usage": NOTHING_USED}

    async def stream_events(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[list[JSON], None]:
        yield [{"choices": [choice]} for choice in self._choices("delta", body)]
        yield [{"choices": [], "usage": NOTHING_USED}]

    def _choices(self, field: str, body: Body) -> list[JSON]:
        count = body.get("n") or 1 if isinstance(body, dict) else 1
        said = {"role": "assistant", "content": self._text}
        return [{"index": at, field: said, "finish_reason": "stop"} for at in range(count)]
