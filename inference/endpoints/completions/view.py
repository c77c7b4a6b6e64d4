"""``POST /completions``, the legacy endpoint. For an agent it becomes a chat with one message."""

from collections.abc import Callable

from django.http.response import HttpResponseBase

from gtapi.errors import UpstreamFailed
from gtapi.json_types import JSON
from gtapi.web.responses import JSONResponse
from inference import tokens
from inference.edge import Delivery, Edge, EventWriter
from inference.endpoints import ENDPOINTS
from inference.endpoints.completions.schema import (
    CompletionWriter,
    chat_messages,
    check_completions,
    text_completion,
)
from inference.exchange import Exchange
from inference.metering import meter_reported
from inference.provider_request import chat_request, json_request
from inference.views import InferenceView

#: Parameters that a chat does not have. Those that would change the response have been refused by then.
COMPLETION_PARAMETERS = {"prompt", "suffix", "echo", "best_of", "logprobs"}


class CompletionsEdge(Edge):
    def validate(self, exchange: Exchange) -> None:
        check_completions(exchange.body)
        if exchange.target.kind == "agent":
            chat = {n: value for n, value in exchange.body.items() if n not in COMPLETION_PARAMETERS}
            exchange.chat = {**chat, "messages": chat_messages(exchange.body)}

    def operation(self, exchange: Exchange) -> str:
        return exchange.endpoint.name if exchange.chat is None else "chat"

    def provider_request(self, exchange: Exchange) -> JSON:
        if exchange.chat is None:
            return json_request(exchange.target, exchange.body)
        return chat_request(exchange.target, exchange.chat)

    def delivery(self, exchange: Exchange) -> Delivery:
        return Delivery.EVENTS if exchange.body.get("stream") else Delivery.JSON

    async def build(self, exchange: Exchange, response: JSON) -> HttpResponseBase:
        built = text_completion(response, exchange.model)
        if not built["choices"]:
            raise UpstreamFailed(detail=f"{exchange.connection.name}: a response without choices")
        built["usage"] = await _meter(
            exchange, built.get("usage"), lambda: "".join(choice["text"] for choice in built["choices"])
        )
        return JSONResponse(built)

    async def event_writer(self, exchange: Exchange) -> CompletionWriter:
        options = exchange.body.get("stream_options") or {}
        return CompletionWriter(exchange.model, include_usage=bool(options.get("include_usage")))

    async def meter(self, exchange: Exchange, writer: EventWriter) -> JSON:
        return await _meter(exchange, writer.usage, lambda: "".join(writer.text))


async def _meter(exchange: Exchange, reported: JSON | None, text: Callable[[], str]) -> JSON:
    request = exchange.json_request

    def count() -> tuple[int, int]:
        if exchange.chat is None:
            return tokens.estimate_input(request["prompt"]), tokens.estimate(text())
        return tokens.estimate_chat(request), tokens.estimate(text())

    return await meter_reported(exchange.usage, reported, count)


class CompletionsView(InferenceView):
    endpoint = ENDPOINTS["completions"]
    edge = CompletionsEdge()
