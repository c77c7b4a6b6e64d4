"""Fixed answers: a text that the operator wrote, in place of a provider's response."""

from collections.abc import AsyncGenerator, Collection

from gtapi.json_types import JSON
from inference.providers.base import Body, ProviderConnection

NO_USAGE: JSON = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


class FixedAnswer:
    """Responds with a text, once for each choice that is asked for. Its methods are an adapter's for chats."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def fetch_json(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> JSON:
        return {"choices": self._choices("message", body), "usage": NO_USAGE}

    async def stream_events(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[list[JSON], None]:
        yield [{"choices": [choice]} for choice in self._choices("delta", body)]
        yield [{"choices": [], "usage": NO_USAGE}]

    def _choices(self, field: str, body: Body) -> list[JSON]:
        count = body.get("n") or 1 if isinstance(body, dict) else 1
        message = {"role": "assistant", "content": self._text}
        return [{"index": index, field: message, "finish_reason": "stop"} for index in range(count)]
