"""Conversations as chats use them: what a request adds to a thread, and what enters its prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import orjson
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Func, IntegerField, Q, QuerySet, Sum, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from files.models import Dataset
from files.uploads import deletion
from gtapi.errors import BadRequest, NotFound
from gtapi.text import pluralize
from inference import tokens
from inference.models import Conversation, Item, Turn
from tenants.models import Tenant

JSON = dict[str, Any]
SYSTEM = ("system", "developer")
#: Tokens that are kept free for an answer whose length nobody limited.
ANSWER_TOKENS = 1024
#: Bytes of a message, as PostgreSQL holds them: 1e300 is a text of 301 digits there.
SIZE = Func(Cast("message", TextField()), function="octet_length", output_field=IntegerField())


def no_conversation(conversation_id: str) -> NotFound:
    """Return the one answer for a thread that does not exist, or is somebody else's."""
    return NotFound(f"There is no conversation '{conversation_id}'.", code="conversation_not_found")


def too_long(where: str) -> BadRequest:
    """Return the answer for more than a conversation may hold."""
    items = pluralize(settings.CONVERSATION_MAX_ITEMS, "message")
    size = pluralize(settings.CONVERSATION_MAX_BYTES, "byte")
    return BadRequest(f"{where} at most {items} of {size} together.", code="conversation_too_long")


def find(key_id: int, conversation_id: str, user: str, *, lock: bool = False) -> Conversation:
    """Return a key's conversation.

    Raises:
        NotFound: there is none, or it is another key's, or another user's of this key.
    """
    conversation = owned(key_id, conversation_id, lock=lock)
    if conversation.user and conversation.user != user:
        raise no_conversation(conversation_id)
    return conversation


def owned(key_id: int, conversation_id: str, *, lock: bool = False) -> Conversation:
    """Return a key's conversation, whichever end user it is for; raises as ``find``."""
    rows = Conversation.objects.of(key_id)
    if lock:
        rows = rows.select_for_update(of=("self",))
    # PostgreSQL takes no NUL, not even to look for one.
    conversation = None if "\0" in conversation_id else rows.filter(pk=conversation_id).first()
    if conversation is None:
        raise no_conversation(conversation_id)
    return conversation


def files_of(conversation: Conversation) -> Dataset:
    """Return the dataset that holds a thread's files; the first upload, which holds the thread's lock, makes it."""
    if conversation.dataset is None:
        # Who changes the tenant's embedding changes that of such datasets, and waits until this one can be seen.
        tenant = Tenant.objects.select_for_update(no_key=True).get(pk=conversation.tenant_id)
        conversation.dataset = Dataset.objects.create(
            tenant=tenant,
            name=conversation.pk,
            embedding=tenant.embedding,
            embedding_requested_by_id=conversation.key_id,
            hidden=True,
        )
        conversation.save(update_fields=["dataset"])
    return conversation.dataset


@transaction.atomic
def remove(conversation: Conversation) -> None:
    """Delete a thread with its files."""
    # Who ends a turn locks its thread first, too.
    Conversation.objects.select_for_update().filter(pk=conversation.pk).first()
    dataset = conversation.dataset
    conversation.delete()
    if dataset is not None:
        deletion.delete_dataset(dataset)


def standing(conversation: Conversation) -> QuerySet[Item]:
    """Return the messages that count, in order: of complete turns, and not superseded."""
    rows = Item.objects.filter(
        turn__conversation=conversation, turn__state=Turn.State.COMPLETE, superseded=False
    )
    return rows.order_by("turn__number", "position")


def aside(conversation: Conversation) -> QuerySet[Item]:
    """Return the messages that count no more, and are kept for the operator as long as there is room for them."""
    ended = Q(turn__state__in=(Turn.State.FAILED, Turn.State.ABANDONED))
    return Item.objects.filter(ended | Q(superseded=True), turn__conversation=conversation)


def count(conversation: Conversation, items: QuerySet[Item], sign: int = 1) -> None:
    """Count messages that are there as held by a thread, whose lock the caller has; with -1 as held no more."""
    held = items.aggregate(bytes=Sum(SIZE, default=0), number=Count("pk"))
    conversation.bytes = max(0, conversation.bytes + sign * held["bytes"])
    conversation.item_count = max(0, conversation.item_count + sign * held["number"])
    conversation.save(update_fields=["bytes", "item_count"])


def take(conversation: Conversation, turn: Turn) -> None:
    """Count what a turn has added to a thread, in which what no prompt has any more makes room for it.

    Raises:
        BadRequest: it is more than a thread may hold; the transaction is to be undone.
    """
    count(conversation, turn.items.all())
    size = conversation.bytes - settings.CONVERSATION_MAX_BYTES
    number = conversation.item_count - settings.CONVERSATION_MAX_ITEMS
    if (size > 0 or number > 0) and not _make_room(conversation, size, number):
        raise too_long("A conversation holds")


def _make_room(conversation: Conversation, size: int, number: int) -> bool:
    """Delete messages that count no more until so many bytes and messages are gone; none, if that is not enough.

    A client cannot see them, and so cannot delete them. The oldest turns lose theirs first, and all of them.
    """
    rows = aside(conversation).annotate(size=SIZE).values_list("pk", "turn_id", "size")
    shortened, chosen = set[int](), list[str]()
    for turn_id, group in groupby(rows.order_by("turn__number", "position"), key=itemgetter(1)):
        if size <= 0 and number <= 0:
            break
        shortened.add(turn_id)
        for pk, _, bytes_ in group:
            chosen.append(pk)
            size, number = size - bytes_, number - 1
    if size > 0 or number > 0:
        return False
    count(conversation, Item.objects.filter(pk__in=chosen), -1)
    Item.objects.filter(pk__in=chosen).delete()
    Turn.objects.filter(pk__in=shortened).update(shortened=True)
    return True


@transaction.atomic
def drop(conversation: Conversation, item: Item) -> None:
    """Delete a message of a thread, whose lock the caller has, and give its room back."""
    count(conversation, Item.objects.filter(pk=item.pk), -1)
    item.delete()


def add(conversation: Conversation, messages: Sequence[JSON], request_id: str) -> list[Item]:
    """Add messages to a thread, as a complete turn of their own; system text takes the place of the old one.

    Raises:
        BadRequest: the thread would hold more than it may; the transaction is to be undone.
    """
    system = [message for message in messages if message["role"] in SYSTEM]
    if system:
        conversation.system = system
    if not messages:
        return []
    conversation.turns += 1
    conversation.save(update_fields=["turns", "system"])
    turn = Turn.objects.create(
        conversation=conversation, number=conversation.turns, state=Turn.State.COMPLETE, request_id=request_id
    )
    spoken = [message for message in messages if message["role"] not in SYSTEM]
    items = Item.objects.bulk_create(
        Item(turn=turn, position=at, message=message) for at, message in enumerate(spoken)
    )
    take(conversation, turn)
    return items


def room_for(window: int, answer: int | None, messages: list[JSON], *texts: str) -> int:
    """Return how many of a model's tokens these messages, these texts and the answer leave."""
    left = window - (answer or min(ANSWER_TOKENS, window // 4))
    return left - sum(map(tokens.estimate, texts)) - tokens.estimate_messages(messages)


@dataclass(slots=True)
class Arrival:
    """A turn that has been numbered and waits for its answer: what its prompt is made of."""

    turn_id: int
    conversation_id: str
    system: list[JSON]
    #: What stands in the thread already.
    earlier: list[JSON]
    #: What this request adds.
    added: list[JSON]
    #: Ids of the messages that this request takes the place of, once it is complete.
    superseded: list[str]
    #: The hidden dataset that holds the thread's files, where it has any.
    dataset_id: str | None
    #: The system text that came with the request, to be kept.
    given_system: list[JSON]
    left_out: int = 0

    def cut_to(self, window: int | None, answer: int | None, *texts: str) -> None:
        """Leave out the oldest messages until prompt and answer fit into ``window`` tokens.

        ``staying`` messages stay, as do ``texts`` that the prompt has besides, and the prompt does not begin in the
        middle of an exchange.
        """
        if window is None:
            return
        room = room_for(window, answer, self.staying(), *texts)
        end = self._going_on()
        sizes = [tokens.estimate_messages([message]) for message in self.earlier[:end]]
        total = sum(sizes)
        cut = 0
        while cut < end and total > room:
            total -= sizes[cut]
            cut += 1
        while 0 < cut < end and self.earlier[cut]["role"] != "user":
            cut += 1
        self.left_out = cut
        del self.earlier[:cut]

    def staying(self) -> list[JSON]:
        """Return the messages that are sent in any case: system text, what is new, and the exchange it goes on."""
        return [*self.system, *self.earlier[self._going_on() :], *self.added]

    def _going_on(self) -> int:
        """Return where the exchange begins that the new messages go on: at the thread's end where they begin one.

        Providers refuse the result of a tool without the call before it.
        """
        if self.added and self.added[0]["role"] == "user":
            return len(self.earlier)
        asked = (at for at in range(len(self.earlier) - 1, -1, -1) if self.earlier[at]["role"] == "user")
        return next(asked, 0)

    def prompt(self) -> list[JSON]:
        """Return all messages for the model."""
        return [*self.system, *self.earlier, *self.added]


def prompted(message: JSON) -> JSON:
    """Return a message of a thread as a prompt has it: which files it was made from is no part of that."""
    return {name: value for name, value in message.items() if name != "citations"}


@transaction.atomic
def begin(key_id: int, conversation_id: str, body: JSON, request_id: str) -> Arrival:
    """Number a turn and keep its question; the answer is generated after this short transaction.

    Args:
        key_id: who asks.
        conversation_id: the thread.
        body: a checked chat request.
        request_id: by which the operator finds it.

    Raises:
        NotFound: see ``find``.
        BadRequest: it has more messages than a conversation may hold, or the thread would.
    """
    if len(body["messages"]) > settings.CONVERSATION_MAX_ITEMS:
        raise too_long("With a conversation a request has")
    conversation = find(key_id, conversation_id, str(body.get("user") or ""), lock=True)
    given_system = [message for message in body["messages"] if message["role"] in SYSTEM]
    spoken = [message for message in body["messages"] if message["role"] not in SYSTEM]
    items = list(standing(conversation))
    resent, new = split(spoken)
    kept, adopted = align([item.message for item in items], resent)
    conversation.turns += 1
    conversation.save(update_fields=["turns"])
    turn = Turn.objects.create(
        conversation=conversation,
        number=conversation.turns,
        model=str(body["model"])[:200],
        request_id=request_id,
    )
    added = [*adopted, *new]
    Item.objects.bulk_create(
        Item(turn=turn, position=at, message=message) for at, message in enumerate(added)
    )
    take(conversation, turn)
    return Arrival(
        turn_id=turn.pk,
        conversation_id=conversation.pk,
        system=given_system or conversation.system,
        earlier=[prompted(item.message) for item in items[:kept]],
        added=added,
        superseded=[item.pk for item in items[kept:]],
        dataset_id=conversation.dataset_id,
        given_system=given_system,
    )


@transaction.atomic
def complete(arrival: Arrival, answer: JSON) -> None:
    """Keep the answer; from now on the turn counts, and what it superseded does not."""
    conversation = Conversation.objects.select_for_update().filter(pk=arrival.conversation_id).first()
    turn = Turn.objects.filter(pk=arrival.turn_id, state=Turn.State.PENDING)
    if conversation is None or not turn.update(
        state=Turn.State.COMPLETE, ended_at=timezone.now(), left_out=arrival.left_out
    ):
        return
    item = Item.objects.create(turn_id=arrival.turn_id, position=len(arrival.added), message=answer)
    # An answer that was paid for is kept, also beyond the limit.
    count(conversation, Item.objects.filter(pk=item.pk))
    if arrival.superseded:
        Item.objects.filter(pk__in=arrival.superseded).update(superseded=True)
    if arrival.given_system:
        Conversation.objects.filter(pk=arrival.conversation_id).update(system=arrival.given_system)


def end(arrival: Arrival, state: str) -> None:
    """Note that a turn got no whole answer: it stays for the operator and enters no prompt."""
    Turn.objects.filter(pk=arrival.turn_id, state=Turn.State.PENDING).update(
        state=state, ended_at=timezone.now(), left_out=arrival.left_out
    )


def split(messages: Sequence[JSON]) -> tuple[list[JSON], list[JSON]]:
    """Return what a client resent and what is new: everything after its last assistant message."""
    last = max((at for at, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    return list(messages[: last + 1]), list(messages[last + 1 :])


def align(thread: Sequence[JSON], resent: Sequence[JSON]) -> tuple[int, list[JSON]]:
    """Compare what a client resent with the thread.

    Returns how many of the thread's messages stand, and which of the resent ones have to be adopted after them.
    A client that resends the thread, whole or without its beginning, changes nothing; one that resends less of
    its end, or something else, takes the place of the rest.
    """
    if not resent:
        return len(thread), []
    ours, theirs = [_essence(m) for m in thread], [_essence(m) for m in resent]
    # Knuth, Morris and Pratt: the thread is locked meanwhile, so no message is compared with all others.
    shorter = _borders(theirs)
    best, stands, agreed = 0, 0, 0
    for at, mine in enumerate(ours):
        while agreed and (agreed == len(theirs) or mine != theirs[agreed]):
            agreed = shorter[agreed - 1]
        agreed += mine == theirs[agreed]
        # Of places where all of it stands the last one counts, of others the first.
        if agreed > best or agreed == len(theirs):
            best, stands = agreed, at + 1
    return stands, list(resent[best:])


def _borders(sequence: Sequence[bytes]) -> list[int]:
    """Return, for each beginning of a sequence, the length of the longest shorter one that it ends with."""
    borders = [0] * len(sequence)
    length = 0
    for at in range(1, len(sequence)):
        while length and sequence[at] != sequence[length]:
            length = borders[length - 1]
        length += sequence[at] == sequence[length]
        borders[at] = length
    return borders


def _essence(message: JSON) -> bytes:
    """Return what makes a message the same one, however a client writes it."""
    content = message.get("content")
    if isinstance(content, list) and all(part.get("type") == "text" for part in content):
        content = "".join(part["text"] for part in content)
    if isinstance(content, str):
        content = content.strip()
    calls = [
        [call.get("id"), (call.get("function") or call.get("custom") or {})]
        for call in message.get("tool_calls") or ()
    ]
    essence = [message["role"], content or None, calls, message.get("tool_call_id")]
    return orjson.dumps(essence, option=orjson.OPT_SORT_KEYS)
