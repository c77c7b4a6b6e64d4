"""The adapter of an imaginary provider with another wire than OpenAI's: the example of CONTRIBUTING.md."""

from collections.abc import AsyncGenerator, Collection
from typing import Any

import orjson

from gtapi.errors import UpstreamFailed
from gtapi.json_types import JSON
from inference.providers import connection_check, exchange
from inference.providers.base import Body, ConnectionTest, ProviderConnection, StreamCut
from inference.providers.error_mapping import ErrorMapping, ReportedError, detail
from inference.providers.sse import EventParser, EventTooLarge


def _read_error(value: Any) -> ReportedError:
    if not isinstance(value, dict):
        return ReportedError()
    return ReportedError(
        frozenset({str(value.get("problem"))}), str(value.get("words")), str(value.get("field"))
    )


ERRORS = ErrorMapping(
    read=_read_error,
    context_length=frozenset({"too_long"}),
    content_filter=frozenset({"improper"}),
    quota=frozenset({"unpaid"}),
)


class Tiny:
    """The adapter for the kind ``tiny``."""

    label = "Tiny"
    operations = frozenset({"chat"})
    has_network = True

    async def fetch_json(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> JSON:
        response = await exchange.fetch(connection, *_request(connection, body))
        if response.status != 200:
            raise ERRORS.from_status(
                connection, response.status, response.headers, response.body, client_params
            )
        reply = _parse(connection, response.body, "reply")
        message = {"role": "assistant", "content": reply["reply"]}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"choices": [choice], "usage": _usage(reply)}

    async def fetch_text(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> str:
        raise NotImplementedError(operation)

    async def stream_events(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[list[JSON], None]:
        async with exchange.ResponseStream(connection, *_request(connection, body)) as stream:
            if stream.status != 200:
                data = await stream.beginning()
                raise ERRORS.from_status(connection, stream.status, stream.headers, data, client_params)
            if stream.media_type != "text/event-stream":
                raise UpstreamFailed(detail=f"{connection.name}: the response is not a stream")
            parser = EventParser()
            async for received in stream:
                for data in _feed(connection, parser, received):
                    event = _parse(connection, data, "word")
                    delta = {"index": 0, "delta": {"content": event["word"]}, "finish_reason": None}
                    if event.get("last"):
                        yield [{"choices": [{**delta, "finish_reason": "stop"}], "usage": _usage(event)}]
                        stream.release()
                        return
                    yield [{"choices": [delta]}]
            raise StreamCut(detail=f"{connection.name}: the stream ended without its last word")

    async def stream_bytes(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[bytes, None]:
        raise NotImplementedError(operation)
        yield b""

    def check_connection(self, connection: ProviderConnection) -> ConnectionTest:
        return connection_check.list_models(connection, "/models", _headers(connection), _model_ids)


def _headers(connection: ProviderConnection) -> dict[str, str]:
    return {
        "accept-encoding": "identity",
        "content-type": "application/json",
        **connection.headers,
        "x-tiny-key": connection.api_key,
    }


def _request(connection: ProviderConnection, body: Body) -> tuple[str, dict[str, str], bytes]:
    """Return the request in the wire's own shape: one text in place of messages."""
    sent: JSON = dict(body) if isinstance(body, dict) else {}
    text = "\n".join(str(message.get("content")) for message in sent.pop("messages"))
    return f"{connection.base_url}/say", _headers(connection), orjson.dumps({**sent, "text": text})


def _feed(connection: ProviderConnection, parser: EventParser, received: bytes) -> list[bytes]:
    try:
        return parser.feed(received)
    except EventTooLarge:
        raise UpstreamFailed(detail=f"{connection.name}: an event is too large") from None


def _parse(connection: ProviderConnection, data: bytes, field: str) -> JSON:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict) or not isinstance(value.get(field), str):
        raise UpstreamFailed(detail=detail(connection, f"unexpected: {data[:500]!r}"))
    return value


def _usage(value: JSON) -> JSON:
    prompt, written = value.get("spent") or (0, 0)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _model_ids(body: bytes) -> list[str]:
    return [str(name) for name in orjson.loads(body)["names"]]
