"""``POST /chat/completions``; with ``X-GT-Conversation-Id`` it continues a stored conversation."""

from collections.abc import Callable

from django.http.response import HttpResponseBase

from gtapi.errors import UpstreamFailed
from gtapi.json_types import JSON
from gtapi.web.responses import JSONResponse
from inference import tokens
from inference.chat.citations import without_citations
from inference.chat.conversation_header import HasConversationScope, conversation_of
from inference.chat.enrich import complete_turn
from inference.edge import Delivery, Edge, EventWriter
from inference.endpoints import ENDPOINTS
from inference.endpoints.chat.response import ChunkWriter, MessageCollector, completion, generated_text
from inference.endpoints.chat.schema import check_chat
from inference.exchange import Exchange
from inference.metering import meter_reported
from inference.provider_request import chat_request
from inference.views import InferenceView
from tenants.permissions import HasScope

#: Fields of a message that a conversation stores.
STORED_FIELDS = ("role", "content", "refusal", "tool_calls", "audio")


class ChatEdge(Edge):
    def validate(self, exchange: Exchange) -> None:
        check_chat(exchange.body)
        exchange.chat = {**exchange.body, "messages": without_citations(exchange.body["messages"])}
        exchange.conversation_id = conversation_of(exchange.request)

    def provider_request(self, exchange: Exchange) -> JSON:
        return chat_request(exchange.target, exchange.chat or {})

    def delivery(self, exchange: Exchange) -> Delivery:
        return Delivery.EVENTS if exchange.body.get("stream") else Delivery.JSON

    async def build(self, exchange: Exchange, response: JSON) -> HttpResponseBase:
        built = completion(response, exchange.model, exchange.key.tenant_id, exchange.sources)
        if not built["choices"]:
            raise UpstreamFailed(detail=f"{exchange.connection.name}: a response without choices")
        messages = [choice["message"] for choice in built["choices"]]
        built["usage"] = await _meter(
            exchange, built.get("usage"), lambda: "".join(map(generated_text, messages))
        )
        stored = {name: messages[0][name] for name in STORED_FIELDS if messages[0].get(name)}
        await complete_turn(exchange, stored)
        return JSONResponse(built)

    async def event_writer(self, exchange: Exchange) -> ChunkWriter:
        options = exchange.body.get("stream_options") or {}
        return ChunkWriter(
            exchange.model,
            exchange.key.tenant_id,
            include_usage=bool(options.get("include_usage")),
            collector=MessageCollector() if exchange.pending_turn else None,
            sources=exchange.sources,
        )

    async def meter(self, exchange: Exchange, writer: EventWriter) -> JSON:
        return await _meter(exchange, writer.usage, lambda: "".join(writer.text))

    async def complete(self, exchange: Exchange, writer: EventWriter) -> None:
        if isinstance(writer, ChunkWriter) and writer.collector is not None:
            await complete_turn(exchange, writer.collector.message())


async def _meter(exchange: Exchange, reported: JSON | None, text: Callable[[], str]) -> JSON:
    request = exchange.json_request
    return await meter_reported(
        exchange.usage, reported, lambda: (tokens.estimate_chat(request), tokens.estimate(text()))
    )


class ChatCompletionsView(InferenceView):
    endpoint = ENDPOINTS["chat"]
    edge = ChatEdge()
    permissions = (HasScope(), HasConversationScope())
