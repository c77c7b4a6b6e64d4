"""Conversations that the gateway stores: their turns, and the messages of each turn.

A turn is one request: the messages that were new in it, and the answer. It is numbered when it arrives, and what
it holds enters later prompts only once it is complete.
"""

from typing import Any

from django.db import models
from django.utils import timezone

from files.models import Dataset
from gtapi.ids import object_id
from tenants.models import InferenceKey, Tenant


def conversation_id() -> str:
    return object_id("conv_")


def item_id() -> str:
    return object_id("msg_")


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def of(self, key_id: int) -> "ConversationQuerySet":
        """Return the conversations of a key. All access goes through this, as a conversation belongs to its key."""
        return self.filter(key=key_id)


class Conversation(models.Model):
    """A stored chat history that belongs to the key that created it.

    ``user`` narrows it to one end user of that key, where it was given at creation. ``system`` is the system text
    that was sent last. ``turns`` counts the turns that ever arrived. ``bytes`` and ``item_count`` say what the
    conversation's messages take, those of failed turns and superseded ones included.
    """

    id = models.CharField(primary_key=True, max_length=40, default=conversation_id, editable=False)
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="conversations")
    key = models.ForeignKey(InferenceKey, models.CASCADE, related_name="conversations")
    user = models.CharField(max_length=200, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    system = models.JSONField(default=list, blank=True)
    turns = models.PositiveIntegerField(default=0)
    bytes = models.PositiveBigIntegerField(default=0, db_default=0, editable=False)
    item_count = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    dataset = models.OneToOneField(
        Dataset,
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="conversation",
        help_text="The hidden dataset with the conversation's files.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["key", "-created_at"], name="inference_conversation_key"),
            models.Index(fields=["-created_at", "-id"], name="inference_conversation_newest"),
        ]

    def __str__(self) -> str:
        return self.id


class Turn(models.Model):
    """One request to a conversation, in the order of arrival.

    Only ``complete`` turns enter a prompt. ``failed`` and ``abandoned`` ones are kept for the operator.
    ``left_out`` counts the messages that did not fit into the context window. ``shortened`` turns lost superseded
    messages, to make room in a full conversation.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        COMPLETE = "complete"
        FAILED = "failed"
        ABANDONED = "abandoned"

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="all_turns")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    model = models.CharField(max_length=200, blank=True)
    request_id = models.CharField(max_length=40, blank=True)
    left_out = models.PositiveIntegerField(default=0)
    shortened = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["conversation", "number"], name="inference_one_turn_a_number")
        ]

    def __str__(self) -> str:
        return f"turn {self.number}"


class Item(models.Model):
    """A message of a conversation, as a chat request holds it; ``superseded`` ones enter no prompt any more."""

    id = models.CharField(primary_key=True, max_length=40, default=item_id, editable=False)
    turn = models.ForeignKey(Turn, models.CASCADE, related_name="items")
    position = models.PositiveIntegerField()
    message = models.JSONField()
    superseded = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["turn__number", "position"]
        constraints = [
            models.UniqueConstraint(fields=["turn", "position"], name="inference_one_item_a_position")
        ]

    def __str__(self) -> str:
        return self.id

    @property
    def role(self) -> Any:
        return self.message.get("role")
