"""``POST /chat/completions``."""

import logging
from collections.abc import Sequence
from typing import Any

from django.db import Error
from django.http.response import HttpResponseBase

from gtapi.database import in_thread
from gtapi.errors import PermissionDenied
from gtapi.validation import invalid
from gtapi.web.request import APIRequest
from inference import tokens
from inference.chat import conversations
from inference.chat.citations import without_citations
from inference.endpoints import ENDPOINTS
from inference.endpoints.chat.response import ChunkWriter, MessageCollector, completion, written
from inference.endpoints.chat.schema import check_chat
from inference.models import Turn
from inference.provider_request import answer_limit, tool_definitions, upstream_chat
from inference.routing import Target
from inference.views.data import DataView

logger = logging.getLogger(__name__)

JSON = dict[str, Any]
CONVERSATION = "x-gt-conversation-id"
CONVERSATION_SCOPE = "conversations:write"
#: What of an answer is kept in a conversation.
KEPT = ("role", "content", "refusal", "tool_calls", "audio")


class ChatCompletionsView(DataView):
    """A chat; with ``X-GT-Conversation-Id`` one that goes on where the conversation stands."""

    endpoint = ENDPOINTS["chat"]
    #: The turn of a conversation that waits for its answer.
    arrival: conversations.Arrival | None = None

    async def post(self, request: APIRequest) -> HttpResponseBase:
        conversation_id = request.header(CONVERSATION.encode())
        if not conversation_id:
            return await super().post(request)
        if CONVERSATION_SCOPE not in self.auth.scopes:
            raise PermissionDenied(
                f"This API key lacks the scope '{CONVERSATION_SCOPE}', which '{CONVERSATION}' needs."
            )
        response = await super().post(request)
        response.headers[CONVERSATION] = conversation_id
        return response

    def check(self, body: JSON) -> None:
        check_chat(body)

    async def begin(self, request: APIRequest, target: Target, body: JSON) -> JSON:
        body["messages"] = without_citations(body["messages"])
        conversation_id = request.header(CONVERSATION.encode())
        if conversation_id:
            if (body.get("n") or 1) != 1:
                raise invalid("n", "a conversation takes one answer")
            self.arrival = await in_thread(self._arrive, conversation_id, target, body, request.request_id)
            body = {**body, "messages": self.arrival.prompt()}
        dataset_ids = target.dataset_ids
        if self.arrival is not None and self.arrival.dataset_id:
            dataset_ids = (*dataset_ids, self.arrival.dataset_id)
        return await self._informed(request, target, body, dataset_ids) if dataset_ids else body

    def _arrive(
        self, conversation_id: str, target: Target, body: JSON, request_id: str
    ) -> conversations.Arrival:
        arrival = conversations.begin(self.auth.id, conversation_id, body, request_id)
        if not target.dataset_ids and not arrival.dataset_id:
            cut(arrival, target, body)
        return arrival

    async def _informed(
        self, request: APIRequest, target: Target, body: JSON, dataset_ids: Sequence[str]
    ) -> JSON:
        """Search for what answers the question; of a thread, leave out what has no room besides it."""
        arrival = self.arrival
        if arrival is None:
            await self.look_up(request, target, dataset_ids, body, body["messages"])
            return body
        section = await self.look_up(request, target, dataset_ids, body, arrival.staying())
        if target.context_window is None:
            return body
        await in_thread(cut, arrival, target, body, section)
        return {**body, "messages": arrival.prompt()}

    def prepare(self, target: Target, body: JSON) -> JSON:
        return self.with_evidence(upstream_chat(target, body, self.auth.tenant_id))

    def build(self, answer: JSON, name: str) -> JSON:
        return completion(answer, name, self.auth.tenant_id, self.sources)

    def writer(self, name: str, body: JSON) -> ChunkWriter:
        options = body.get("stream_options") or {}
        return ChunkWriter(
            name,
            self.auth.tenant_id,
            include_usage=bool(options.get("include_usage")),
            collector=MessageCollector() if self.arrival else None,
            sources=self.sources,
        )

    def count(self, sent: JSON, text: str) -> tuple[int, int]:
        return tokens.estimate_chat(sent), tokens.estimate(text)

    def written(self, built: JSON) -> str:
        return "".join(written(choice["message"]) for choice in built["choices"])

    async def finished(self, answer: JSON | ChunkWriter) -> None:
        if self.arrival is None:
            return
        if isinstance(answer, ChunkWriter):
            message = answer.collector.message() if answer.collector else {}
        else:
            message = {name: answer["message"][name] for name in KEPT if answer["message"].get(name)}
        if self.sources is not None and message.get("content"):
            message["citations"] = self.sources.kept()
        await in_thread(conversations.complete, self.arrival, message)
        self.arrival = None

    async def record(self) -> None:
        if self.arrival is not None:
            arrival, self.arrival = self.arrival, None
            left = self.usage is not None and self.usage.status == 499
            state = Turn.State.ABANDONED if left else Turn.State.FAILED
            try:
                await in_thread(conversations.end, arrival, state)
            except Error as error:
                # The turn stays pending, which keeps it out of prompts as well.
                logger.warning("turn %s cannot be ended: %s", arrival.turn_id, type(error).__name__)
        await super().record()


def cut(arrival: conversations.Arrival, target: Target, body: JSON, *texts: str) -> None:
    """Leave out of a thread what has no room beside the answer, the agent's part, the tools and ``texts``."""
    fixed = (target.instructions, tool_definitions(target, body), *texts)
    arrival.cut_to(target.context_window, answer_limit(target, body), *fixed)
