"""Stored conversations: turns that chats add to them, and the history that goes into prompts."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Func, IntegerField, Q, QuerySet, Sum, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from files.models import Dataset
from files.uploads import deletion
from gtapi import database
from gtapi.errors import BadRequest, NotFound
from gtapi.json_types import JSON
from gtapi.text import pluralize
from inference import tokens
from inference.chat.alignment import align, split
from inference.models import Conversation, Item, Turn
from tenants.models import Tenant

SYSTEM = ("system", "developer")
#: Tokens reserved for a response whose length the request does not limit.
RESPONSE_TOKENS = 1024
#: Bytes of a message, as PostgreSQL writes it: 1e300 is a text of 301 digits there.
SIZE = Func(Cast("message", TextField()), function="octet_length", output_field=IntegerField())


def no_conversation(conversation_id: str) -> NotFound:
    """Return the error for a conversation that does not exist or belongs to another key or user."""
    return NotFound(f"There is no conversation '{conversation_id}'.", code="conversation_not_found")


def too_long(where: str) -> BadRequest:
    """Return the error for more than a conversation may hold."""
    items = pluralize(settings.CONVERSATION_MAX_ITEMS, "message")
    size = pluralize(settings.CONVERSATION_MAX_BYTES, "byte")
    return BadRequest(f"{where} at most {items} of {size} together.", code="conversation_too_long")


def find(key_id: int, conversation_id: str, user: str, *, lock: bool = False) -> Conversation:
    """Return a key's conversation.

    Raises:
        NotFound: it does not exist, or belongs to another key, or to another user of this key.
    """
    conversation = owned(key_id, conversation_id, lock=lock)
    if conversation.user and conversation.user != user:
        raise no_conversation(conversation_id)
    return conversation


def owned(key_id: int, conversation_id: str, *, lock: bool = False) -> Conversation:
    """Return a key's conversation, of any end user; raises as ``find``."""
    rows = Conversation.objects.of(key_id)
    if lock:
        rows = rows.select_for_update(of=("self",))
    conversation = database.find(rows, pk=conversation_id)
    if conversation is None:
        raise no_conversation(conversation_id)
    return conversation


def files_dataset(conversation: Conversation) -> Dataset:
    """Return the dataset of a conversation's files, whose lock the caller has; the first upload creates it."""
    if conversation.dataset is None:
        # A change of the tenant's embedding also changes such datasets: it waits until this one is visible.
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
    """Delete a conversation with its files."""
    # Ending a turn locks its conversation first, too.
    Conversation.objects.select_for_update().filter(pk=conversation.pk).first()
    dataset = conversation.dataset
    conversation.delete()
    if dataset is not None:
        deletion.delete_dataset(dataset)


def active_items(conversation: Conversation) -> QuerySet[Item]:
    """Return the messages that go into prompts, in order: of complete turns, and not superseded."""
    rows = Item.objects.filter(
        turn__conversation=conversation, turn__state=Turn.State.COMPLETE, superseded=False
    )
    return rows.order_by("turn__number", "position")


def inactive_items(conversation: Conversation) -> QuerySet[Item]:
    """Return the messages that go into no prompt, and are stored for the operator as long as there is room."""
    ended = Q(turn__state__in=(Turn.State.FAILED, Turn.State.ABANDONED))
    return Item.objects.filter(ended | Q(superseded=True), turn__conversation=conversation)


def count_items(conversation: Conversation, items: QuerySet[Item], sign: int = 1) -> None:
    """Add existing messages to the size of a conversation, whose lock the caller has; with -1 subtract them."""
    total = items.aggregate(bytes=Sum(SIZE, default=0), number=Count("pk"))
    conversation.bytes = max(0, conversation.bytes + sign * total["bytes"])
    conversation.item_count = max(0, conversation.item_count + sign * total["number"])
    conversation.save(update_fields=["bytes", "item_count"])


def admit(conversation: Conversation, turn: Turn) -> None:
    """Count the messages of a new turn; inactive messages are deleted where it needs their room.

    Raises:
        BadRequest: it is more than a conversation may hold; the transaction is to be rolled back.
    """
    count_items(conversation, turn.items.all())
    size = conversation.bytes - settings.CONVERSATION_MAX_BYTES
    number = conversation.item_count - settings.CONVERSATION_MAX_ITEMS
    if (size > 0 or number > 0) and not _make_room(conversation, size, number):
        raise too_long("A conversation holds")


def _make_room(conversation: Conversation, size: int, number: int) -> bool:
    """Delete inactive messages until so many bytes and messages are gone; none of them if that is not enough.

    Clients cannot see them, and so cannot delete them. The oldest turns lose theirs first, and all of them.
    """
    rows = inactive_items(conversation).annotate(size=SIZE).values_list("pk", "turn_id", "size")
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
    count_items(conversation, Item.objects.filter(pk__in=chosen), -1)
    Item.objects.filter(pk__in=chosen).delete()
    Turn.objects.filter(pk__in=shortened).update(shortened=True)
    return True


@transaction.atomic
def delete_item(conversation: Conversation, item: Item) -> None:
    """Delete a message of a conversation, whose lock the caller has, and free its room."""
    count_items(conversation, Item.objects.filter(pk=item.pk), -1)
    item.delete()


def add(conversation: Conversation, messages: Sequence[JSON], request_id: str) -> list[Item]:
    """Add messages to a conversation as a complete turn; system messages replace the previous ones.

    Raises:
        BadRequest: the conversation would hold more than it may; the transaction is to be rolled back.
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
    others = [message for message in messages if message["role"] not in SYSTEM]
    items = Item.objects.bulk_create(
        Item(turn=turn, position=at, message=message) for at, message in enumerate(others)
    )
    admit(conversation, turn)
    return items


def room_for(window: int, response_limit: int | None, messages: list[JSON], *texts: str) -> int:
    """Return how many tokens of a model's context window the response, these messages and these texts leave."""
    left = window - (response_limit or min(RESPONSE_TOKENS, window // 4))
    return left - sum(map(tokens.estimate, texts)) - tokens.estimate_messages(messages)


@dataclass(slots=True)
class PendingTurn:
    """A turn that has been numbered and waits for its response, and the messages of its prompt."""

    turn_id: int
    conversation_id: str
    system: list[JSON]
    #: The conversation's messages before this turn.
    earlier: list[JSON]
    #: What this request adds.
    added: list[JSON]
    #: Ids of the messages that this turn replaces once it is complete.
    superseded: list[str]
    #: The hidden dataset of the conversation's files, if it has any.
    dataset_id: str | None
    #: System messages of this request, which replace the stored ones.
    new_system: list[JSON]
    left_out: int = 0

    def cut_to(self, window: int, response_limit: int | None, *texts: str) -> None:
        """Leave out the oldest messages until prompt and response fit into ``window`` tokens.

        ``required`` messages stay, ``texts`` are other parts of the prompt, and the prompt does not begin in the
        middle of an exchange.
        """
        room = room_for(window, response_limit, self.required(), *texts)
        end = self._exchange_start()
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

    def required(self) -> list[JSON]:
        """Return the messages that are always sent: system, the new ones, and the exchange that they continue."""
        return [*self.system, *self.earlier[self._exchange_start() :], *self.added]

    def _exchange_start(self) -> int:
        """Return the index of the earlier message with which the exchange begins that the new ones continue.

        Providers refuse the result of a tool without the call before it. New messages that begin an exchange
        continue none: the index is the end.
        """
        if self.added and self.added[0]["role"] == "user":
            return len(self.earlier)
        newest_first = range(len(self.earlier) - 1, -1, -1)
        return next((at for at in newest_first if self.earlier[at]["role"] == "user"), 0)

    def prompt(self) -> list[JSON]:
        """Return all messages of the prompt."""
        return [*self.system, *self.earlier, *self.added]


def without_references(message: JSON) -> JSON:
    """Return a stored message as it goes into a prompt: without the files that it cites."""
    return {name: value for name, value in message.items() if name != "citations"}


@transaction.atomic
def begin(key_id: int, conversation_id: str, body: JSON, request_id: str) -> PendingTurn:
    """Begin a turn and store its new messages, in a short transaction before the response is generated.

    Args:
        key_id: the key that sends the request.
        conversation_id: the conversation.
        body: a validated chat request.
        request_id: the id by which the operator finds the request.

    Raises:
        NotFound: see ``find``.
        BadRequest: the request has more messages than a conversation may hold, or the conversation would.
    """
    if len(body["messages"]) > settings.CONVERSATION_MAX_ITEMS:
        raise too_long("With a conversation, a request has")
    conversation = find(key_id, conversation_id, str(body.get("user") or ""), lock=True)
    new_system = [message for message in body["messages"] if message["role"] in SYSTEM]
    others = [message for message in body["messages"] if message["role"] not in SYSTEM]
    items = list(active_items(conversation))
    resent, new = split(others)
    remaining, adopted = align([item.message for item in items], resent)
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
    admit(conversation, turn)
    return PendingTurn(
        turn_id=turn.pk,
        conversation_id=conversation.pk,
        system=new_system or conversation.system,
        earlier=[without_references(item.message) for item in items[:remaining]],
        added=added,
        superseded=[item.pk for item in items[remaining:]],
        dataset_id=conversation.dataset_id,
        new_system=new_system,
    )


@transaction.atomic
def complete(turn: PendingTurn, message: JSON) -> None:
    """Store the response's message and activate the turn in place of the messages that it supersedes."""
    conversation = Conversation.objects.select_for_update().filter(pk=turn.conversation_id).first()
    row = Turn.objects.filter(pk=turn.turn_id, state=Turn.State.PENDING)
    if conversation is None or not row.update(
        state=Turn.State.COMPLETE, ended_at=timezone.now(), left_out=turn.left_out
    ):
        return
    item = Item.objects.create(turn_id=turn.turn_id, position=len(turn.added), message=message)
    # A response that was paid for is stored even beyond the limit.
    count_items(conversation, Item.objects.filter(pk=item.pk))
    if turn.superseded:
        Item.objects.filter(pk__in=turn.superseded).update(superseded=True)
    if turn.new_system:
        Conversation.objects.filter(pk=turn.conversation_id).update(system=turn.new_system)


def end(turn: PendingTurn, state: str) -> None:
    """Note that a turn got no whole response: the operator can see it, and no prompt contains it."""
    Turn.objects.filter(pk=turn.turn_id, state=Turn.State.PENDING).update(
        state=state, ended_at=timezone.now(), left_out=turn.left_out
    )
