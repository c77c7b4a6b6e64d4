"""Explanations of responses: what was retrieved for a request, stored for the tenant's operators to read."""

import logging

from django.db import Error
from psycopg_pool import PoolTimeout

from files.backends import Caller
from gtapi.database import in_thread
from inference.chat.retrieval import RetrievedContext
from inference.models import Explanation
from inference.routing import Target

logger = logging.getLogger(__name__)


def explain(caller: Caller, target: Target, context: RetrievedContext) -> Explanation:
    """Return the explanation of a request, unsaved."""
    in_prompt = {chunk.result.chunk_id for chunk in context.chunks}
    return Explanation(
        request_id=caller.request_id,
        tenant_id=caller.tenant_id,
        key_id=caller.key_id,
        model=target.name,
        agent_version=target.version,
        query=context.query,
        passages=[
            {
                "file_id": result.file_id,
                "dataset_id": result.dataset_id,
                "filename": result.filename,
                "page": result.page,
                "heading": result.heading,
                "text": result.text,
                "relevance": float(result.relevance),
                "similarity": result.similarity,
                "score": float(result.score),
                "given": result.chunk_id in in_prompt,
            }
            for result in context.results
        ],
        passage_tokens=context.tokens,
    )


async def store(explanation: Explanation) -> None:
    """Store an explanation. A failure is logged: it must not withhold the response from the client."""
    try:
        await in_thread(explanation.store)
    except (Error, PoolTimeout) as error:
        logger.warning("%s is not explained: %s", explanation.request_id, type(error).__name__)
    except Exception:
        logger.exception("%s is not explained", explanation.request_id)
