"""What routes share on which agents answer from their data."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from django.db import Error
from psycopg_pool import PoolTimeout

from files.backends import Caller
from gtapi.database import in_thread
from gtapi.web.request import APIRequest
from inference.chat import retrieval
from inference.chat.citations import Sources
from inference.chat.conversations import room_for
from inference.chat.fixed_answer import Answering, Ready
from inference.models import Explanation
from inference.provider_request import answer_limit, tool_definitions
from inference.providers.base import Adapter
from inference.routing import Target
from inference.views.generation import GenerationView

logger = logging.getLogger(__name__)

JSON = dict[str, Any]


class DataView(GenerationView):
    """A route whose answers are made from passages, where there is data to search."""

    #: What was found for the question; None where nothing was to be searched.
    evidence: retrieval.Evidence | None = None
    #: The passages that an answer cites.
    sources: Sources | None = None
    #: What is said where nothing was found.
    ready: Ready | None = None
    explanation: Explanation | None = None

    async def look_up(
        self,
        request: APIRequest,
        target: Target,
        dataset_ids: Sequence[str],
        body: JSON,
        staying: list[JSON],
    ) -> str:
        """Search datasets for what answers the newest question of a chat, and return what its prompt gets.

        Args:
            request: books what the search costs, and says where files are.
            target: says how much is given.
            dataset_ids: where to search.
            body: the chat.
            staying: its messages that are sent in any case; what they leave of the model's window is for passages.

        Raises:
            Unavailable: see ``retrieval.retrieve``.
        """
        room = None
        if target.context_window is not None:
            fixed = (target.instructions, tool_definitions(target, body))
            limit = answer_limit(target, body)
            room = await in_thread(room_for, target.context_window, limit, staying, *fixed)
        caller = Caller(self.auth.tenant_id, self.auth.id, request.request_id)
        query = retrieval.question(body["messages"])
        evidence = await retrieval.retrieve(caller, target, dataset_ids, query, room)
        base, _, _ = request.path.rpartition(self.endpoint.path)
        self.evidence = evidence
        if evidence.given:
            self.sources = Sources(evidence.given, request.origin() + base)
        elif target.unknown_answer:
            self.ready = Ready(target.unknown_answer)
        if self.auth.record_answers:
            self.explanation = explanation_of(caller, target, evidence)
        return evidence.section() if evidence.given else ""

    def with_evidence(self, sent: JSON) -> JSON:
        """Return the body for the provider with the passages in it."""
        if self.evidence is not None:
            sent["messages"] = self.evidence.into(sent["messages"])
        return sent

    def answering(self, adapter: Adapter) -> Answering:
        if self.ready is None:
            return adapter
        if self.usage is not None:
            # No provider is asked.
            self.usage.provider = self.usage.raw_model = ""
        return self.ready

    async def record(self) -> None:
        explanation, self.explanation = self.explanation, None
        if explanation is None or self.usage is None:
            await super().record()
            return
        explanation.prompt_tokens = self.usage.input_tokens
        await asyncio.gather(super().record(), keep(explanation))


def explanation_of(caller: Caller, target: Target, evidence: retrieval.Evidence) -> Explanation:
    """Return what an operator can read of a request, unsaved."""
    given = {g.passage.chunk_id for g in evidence.given}
    return Explanation(
        request_id=caller.request_id,
        tenant_id=caller.tenant_id,
        key_id=caller.key_id,
        model=target.name,
        agent_version=target.version,
        query=evidence.query,
        passages=[
            {
                "file_id": passage.file_id,
                "dataset_id": passage.dataset_id,
                "filename": passage.filename,
                "page": passage.page,
                "heading": passage.heading,
                "text": passage.text,
                "relevance": float(passage.relevance),
                "similarity": passage.similarity,
                "score": float(passage.score),
                "given": passage.chunk_id in given,
            }
            for passage in evidence.found
        ],
        passage_tokens=evidence.tokens,
    )


async def keep(explanation: Explanation) -> None:
    """Store it. That it could not be kept is no reason to keep an answer from its client."""
    try:
        await in_thread(explanation.keep)
    except (Error, PoolTimeout) as error:
        logger.warning("%s is not explained: %s", explanation.request_id, type(error).__name__)
    except Exception:
        logger.exception("%s is not explained", explanation.request_id)
