"""The pipeline's station ``enrich``: what a chat gets from its conversation, from datasets and from its agent."""

import logging
from collections.abc import Sequence

from django.db import Error

from files.backends import Caller
from gtapi.database import in_thread
from gtapi.json_types import JSON
from gtapi.validation import invalid
from inference import tokens
from inference.chat import conversations, explanations, retrieval
from inference.chat.citations import Sources
from inference.chat.conversations import PendingTurn, room_for
from inference.chat.fixed_answer import FixedAnswer
from inference.exchange import Exchange
from inference.models import Turn
from inference.provider_request import answer_limit, restore_audio_ids

logger = logging.getLogger(__name__)


async def enrich(exchange: Exchange, chat: JSON) -> None:
    """Fill in the messages of the provider's request.

    A conversation adds its history; datasets of the agent and files of the conversation add what a search finds for
    the newest question; the agent adds its instructions. The oldest history that the model's context window has no
    room for is left out.

    Raises:
        BadRequest: a conversation was asked for several choices, or is full, or an id of audio is unknown.
        NotFound: there is no such conversation.
        Unavailable: the datasets cannot be searched.
    """
    request, target = exchange.json_request, exchange.target
    messages, dataset_ids = chat["messages"], target.dataset_ids
    if exchange.conversation_id:
        if (chat.get("n") or 1) != 1:
            raise invalid("n", "a conversation takes one choice")
        turn = await in_thread(_begin_turn, exchange, chat, request)
        messages = turn.prompt()
        if turn.dataset_id:
            dataset_ids = (*dataset_ids, turn.dataset_id)
    if dataset_ids:
        messages = await _retrieve(exchange, messages, dataset_ids, request)
    messages = restore_audio_ids(messages, exchange.key.tenant_id)
    if target.instructions:
        messages = [{"role": "system", "content": target.instructions}, *messages]
    request["messages"] = exchange.context.into(messages) if exchange.context else messages


def _begin_turn(exchange: Exchange, chat: JSON, request: JSON) -> PendingTurn:
    """Store the new messages as a pending turn; without a search to come, cut the history at once."""
    turn = conversations.begin(exchange.key.id, exchange.conversation_id, chat, exchange.request.request_id)
    exchange.pending_turn = turn
    if not exchange.target.dataset_ids and not turn.dataset_id:
        _cut(exchange, turn, request)
    return turn


def _cut(exchange: Exchange, turn: PendingTurn, request: JSON, *texts: str) -> None:
    """Leave out the history that has no room next to the response, the instructions, the tools and ``texts``."""
    window = exchange.target.context_window
    if window is not None:
        turn.cut_to(window, answer_limit(request), *_fixed_texts(exchange, request), *texts)


def _fixed_texts(exchange: Exchange, request: JSON) -> tuple[str, str]:
    return exchange.target.instructions, tokens.definitions(request)


async def _retrieve(
    exchange: Exchange, messages: list[JSON], dataset_ids: Sequence[str], request: JSON
) -> list[JSON]:
    """Search for context, and return the messages that still have room next to it."""
    target, turn, window = exchange.target, exchange.pending_turn, exchange.target.context_window
    room = None
    if window is not None:
        required = turn.required() if turn else messages
        fixed = _fixed_texts(exchange, request)
        room = await in_thread(room_for, window, answer_limit(request), required, *fixed)
    caller = Caller(exchange.key.tenant_id, exchange.key.id, exchange.request.request_id)
    query = retrieval.question(messages)
    context = exchange.context = await retrieval.retrieve(caller, target, dataset_ids, query, room)
    if context.chunks:
        base_url, _, _ = exchange.request.path.rpartition(exchange.endpoint.path)
        exchange.sources = Sources(context.chunks, exchange.request.origin() + base_url)
    elif target.unknown_answer:
        exchange.fixed_answer = FixedAnswer(target.unknown_answer)
        # No provider is called.
        exchange.usage.provider = exchange.usage.raw_model = ""
    if exchange.key.record_answers:
        exchange.explanation = explanations.explain(caller, target, context)
    if turn is None or window is None:
        return messages
    await in_thread(_cut, exchange, turn, request, context.section() if context.chunks else "")
    return turn.prompt()


async def complete_turn(exchange: Exchange, message: JSON) -> None:
    """Store the response's message in the conversation, where the request continues one."""
    if exchange.pending_turn is None:
        return
    if exchange.sources is not None and message.get("content"):
        message["citations"] = exchange.sources.references()
    await in_thread(conversations.complete, exchange.pending_turn, message)
    exchange.pending_turn = None


async def end_turn(turn: PendingTurn, *, abandoned: bool) -> None:
    """Note that a turn got no whole response. A failure is logged: pending turns enter no prompt, either."""
    state = Turn.State.ABANDONED if abandoned else Turn.State.FAILED
    try:
        await in_thread(conversations.end, turn, state)
    except Error as error:
        logger.warning("turn %s cannot be ended: %s", turn.turn_id, type(error).__name__)
