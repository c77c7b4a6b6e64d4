"""The admin of conversations: read them as transcripts, or delete them."""

from dataclasses import dataclass, field
from string import whitespace
from typing import Any

from django.contrib import admin
from django.core.paginator import Page, Paginator
from django.db.models import Count, F, Func, IntegerField, OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Coalesce, Left, NullIf
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.paginator import InfinitePaginator

from files.models import DatasetFile
from gtapi.templatetags.amounts import ago
from inference.admin.transcript import Message, read
from inference.chat import conversations
from inference.models import Conversation, Item, Turn
from tenants.admin.base import ReadOnlyAdmin, badge
from tenants.admin.theme import display
from tenants.admin.usage import KeyFilter, TenantFilter
from tenants.models import UsageRecord

TURNS_A_PAGE = 50
#: Files that the page shows; the list of files has all of them.
FILES_SHOWN = 25
#: Characters of how a conversation begins that the list shows.
OPENING = 80
#: Of a word that is cut off, fewer characters than these are left out whole.
BROKEN = 20
#: In how many turns that is looked for, and in messages of fewer bytes than these.
FIRST_TURNS = 5
LARGE = 64 * 1024
#: What may stand before the first word, however much of it.
_BLANKS = f"{whitespace}\u00a0\u200b\u3000\ufeff"
#: Where the text of a message stands: it is the content, or in a part of it.
_TEXTS = ('$.content[*] ? (@.type() == "string")', '$.content[*].text ? (@.type() == "string")')
_TEXT = "jsonb_path_query_first(%(expressions)s, '{path}') #>> '{{}}'"
ASIDE = (Turn.State.FAILED, Turn.State.ABANDONED)
STATES: dict[str, tuple[str, str, str]] = {
    Turn.State.PENDING: ("being answered", "info", "It enters no prompt until its answer is whole."),
    Turn.State.COMPLETE: ("complete", "success", ""),
    Turn.State.FAILED: ("failed", "danger", "It got no answer. It stays for you to see, and enters no prompt."),
    Turn.State.ABANDONED: (
        "abandoned", "warning", "The client left before the end. It stays for you to see, and enters no prompt.",
    ),
}  # fmt: skip


@dataclass(slots=True)
class TranscriptLine:
    """A message with what is known of it; a prompt began at the one where ``cut_of`` names its turn."""

    item: Item
    message: Message
    cut_of: int | None = None


@dataclass(slots=True)
class TurnDisplay:
    """A turn as the admin shows it."""

    turn: Turn
    word: str
    variant: str
    hint: str
    record: UsageRecord | None
    lines: list[TranscriptLine] = field(default_factory=list)

    @property
    def aside(self) -> bool:
        return self.turn.state in ASIDE


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin[Conversation]):
    count_only = True
    list_display = ("heading", "tenant_and_key", "turns_made", "last_activity", "created")
    list_filter = (TenantFilter, KeyFilter)
    list_select_related = ("tenant", "key")
    search_fields = ("=id", "=user")
    search_help_text = "Id, or an end user as the client named them"
    empty_text = (
        "Clients create conversations with POST /conversations and continue them with the header "
        "X-GT-Conversation-Id. Their keys need the scope conversations:write."
    )
    empty_link = ("tenants_inferencekey", "Open the keys")
    # Nothing is counted: there may be millions.
    paginator = InfinitePaginator
    show_full_result_count = False
    sortable_by = ()
    change_form_outer_before_template = "admin/inference/conversation/page.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        turns = Turn.objects.filter(conversation=OuterRef("pk"))
        aside = turns.order_by().values("conversation").annotate(n=Count("pk", filter=Q(state__in=ASIDE)))
        return (
            super()
            .get_queryset(request)
            .select_related("tenant", "key")
            .annotate(
                opening=_opening(),
                last_at=Subquery(turns.order_by("-number").values("created_at")[:1]),
                aside_n=Subquery(aside.values("n"), output_field=IntegerField()),
            )
        )

    # --- the page of one ------------------------------------------------------------------------------------

    def detail_context(self, request: HttpRequest, conversation: Conversation) -> dict[str, Any]:
        turns = Paginator(Turn.objects.filter(conversation=conversation).order_by("number"), TURNS_A_PAGE)
        # A long conversation opens at its end.
        page: Page[Turn] = turns.get_page(request.GET.get("turns") or turns.num_pages)
        calls: dict[str, str] = {}
        user = request.user
        may_see_files = user.has_perm("files.view_datasetfile")
        return {
            "conversation": conversation,
            "system": [read(message, calls) for message in _messages(conversation.system)],
            "exchanges": exchanges(conversation, list(page.object_list), calls),
            "turn_page": page,
            "dataset_files": _dataset_files(conversation) if may_see_files else [],
            "may_see_files": may_see_files,
            "may_see_usage": user.has_perm("tenants.view_usagerecord"),
            "may_ask_why": user.has_perm("inference.view_explanation"),
        }

    # --- deletion -------------------------------------------------------------------------------------------

    def delete_model(self, request: HttpRequest, obj: Conversation) -> None:
        conversations.remove(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> None:
        for conversation in queryset.select_related("dataset"):
            conversations.remove(conversation)

    # --- columns --------------------------------------------------------------------------------------------

    @display(description="Conversation", header=True)
    def heading(self, conversation: Any) -> list[str]:
        whose = f"{conversation.pk} · user {conversation.user}" if conversation.user else conversation.pk
        return [
            _shortened(conversation.opening or "")
            or ("No text at its beginning" if conversation.turns else "Nothing was asked yet"),
            whose,
        ]

    @display(description="Tenant and key", header=True)
    def tenant_and_key(self, conversation: Conversation) -> list[str]:
        return [conversation.tenant.name, conversation.key.name]

    @display(description="Turns")
    def turns_made(self, conversation: Any) -> str:
        if not conversation.aside_n:
            return f"{conversation.turns:,}"
        return format_html(
            "{} {}",
            f"{conversation.turns:,}",
            badge(f"{conversation.aside_n:,} without an answer", "warning"),
        )

    @display(description="Last activity", empty_value="nothing was said")
    def last_activity(self, conversation: Any) -> str | None:
        return ago(conversation.last_at) if conversation.last_at else None

    @display(description="Created", ordering="created_at")
    def created(self, conversation: Conversation) -> str:
        return ago(conversation.created_at)


def _shortened(text: str) -> str:
    """Return a text on one line, cut off between words where there is a space near the end of what is shown."""
    line = " ".join(text.split())
    if len(line) <= OPENING:
        return line
    cut = line[: OPENING - 1]
    words, _, broken = cut.rpartition(" ")
    return (words if words and len(broken) < BROKEN else cut) + "…"


def _opening() -> Subquery:
    """Return the first words that a user wrote in a conversation; none where they are not among its beginning.

    Only the first turns are read, however long the conversation is, and no messages with images or recordings.
    """
    size = Func(F("message"), function="pg_column_size", output_field=IntegerField())
    words = Coalesce(*(Func(F("message"), template=_TEXT.format(path=path)) for path in _TEXTS))
    begun = Func(words, Value(_BLANKS), function="LTRIM", output_field=TextField())
    asked = (
        Item.objects.filter(turn=OuterRef("pk"))
        .alias(size=size)
        .filter(size__lt=LARGE, message__role="user")
        .order_by("position")
        .values(words=NullIf(Left(begun, OPENING * 2), Value("")))
    )
    turns = Turn.objects.filter(conversation=OuterRef("pk"), number__lte=FIRST_TURNS).order_by("number")
    return Subquery(turns.annotate(words=Subquery(asked[:1])).exclude(words=None).values("words")[:1])


def _messages(system: Any) -> list[Any]:
    return system if isinstance(system, list) else []


def _dataset_files(conversation: Conversation) -> list[DatasetFile]:
    if conversation.dataset_id is None:
        return []
    dataset_files = DatasetFile.objects.filter(dataset=conversation.dataset_id).select_related(
        "file", "file__key"
    )
    return list(dataset_files.order_by("-created_at", "-pk")[:FILES_SHOWN])


def exchanges(conversation: Conversation, turns: list[Turn], calls: dict[str, str]) -> list[TurnDisplay]:
    """Return turns with their messages and the records of their requests, in three queries."""
    asked = [turn.request_id for turn in turns if turn.request_id]
    records = {
        record.request_id: record
        for record in UsageRecord.objects.filter(request_id__in=asked, tenant_id=conversation.tenant_id)
    }
    made = {turn.pk: TurnDisplay(turn, *STATES[turn.state], records.get(turn.request_id)) for turn in turns}
    begins, cut_turn = _cut(conversation)
    for item in Item.objects.filter(turn__in=list(made)).order_by("turn__number", "position"):
        cut = cut_turn if item.pk == begins else None
        made[item.turn_id].lines.append(TranscriptLine(item, read(item.message, calls), cut))
    return list(made.values())


def _cut(conversation: Conversation) -> tuple[str, int | None]:
    """Return the message at which the last answered prompt began, if it could not hold the whole conversation."""
    complete = Turn.objects.filter(conversation=conversation, state=Turn.State.COMPLETE)
    last = complete.exclude(model="").order_by("-number").first()
    if last is None or not last.left_out:
        return "", None
    earlier = Item.objects.filter(
        turn__conversation=conversation,
        turn__state=Turn.State.COMPLETE,
        turn__number__lt=last.number,
        superseded=False,
    )
    found = earlier.order_by("turn__number", "position").values_list("pk", flat=True)
    begins = list(found[last.left_out : last.left_out + 1])
    return (begins[0], last.number) if begins else ("", None)
