"""The read-only admin of usage, whose queries stay fast on a table of any size."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import DropdownFilter, TextFilter
from unfold.paginator import InfinitePaginator

from gtapi.ids import uuid7_floor
from gtapi.text import pluralize
from tenants import keys
from tenants.admin.base import GatewayAdmin, badge
from tenants.admin.theme import display
from tenants.models import NO_KEY, InferenceKey, Tenant, UsageRecord

if TYPE_CHECKING:
    from django.contrib.admin import SimpleListFilter as _Dropdown
    from django.contrib.admin import SimpleListFilter as _Text

    _Usage = QuerySet[UsageRecord]
else:
    _Dropdown, _Text = DropdownFilter, TextFilter

#: Maximum number of keys in the filter.
MAX_KEYS = 300
CLIENT_LEFT = 499
#: The label of usage without a key.
OPERATOR = "an operator, without a key"
#: Routes whose answers may be based on files.
ANSWER_ROUTES = ("/chat/completions",)

#: Background work has the id of a file or dataset as its request id: by prefix, the query parameter of the file
#: list that shows it and a description. The dataset list does not include the datasets of conversations.
BACKGROUND_WORK = {
    "file-": ("q", "was processed"),
    "ds_": ("dataset", "was indexed"),
}

STATUSES: dict[str, tuple[str, Q]] = {
    "ok": ("Succeeded", Q(status__lt=400)),
    "failed": ("All failures", Q(status__gte=400) & ~Q(status=CLIENT_LEFT)),
    "client": ("Refused (4xx)", Q(status__gte=400, status__lt=CLIENT_LEFT)),
    "server": ("Failed (5xx)", Q(status__gte=500)),
    "left": ("Client disconnected (499)", Q(status=CLIENT_LEFT)),
}
PERIODS = {
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}
DEFAULT_PERIOD = "7d"


def since(period: timedelta) -> Q:
    """Return the condition for a period until now, on the id, since the table is partitioned by it."""
    return Q(id__gte=uuid7_floor((timezone.now() - period).timestamp()))


class PeriodFilter(_Dropdown):
    title = "period"
    parameter_name = "period"
    all_option = ("", PERIODS[DEFAULT_PERIOD][0])

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        others = [(name, label) for name, (label, _) in PERIODS.items() if name != DEFAULT_PERIOD]
        return [*others, ("all", "All time")]

    def queryset(self, request: HttpRequest, queryset: "_Usage") -> "_Usage":
        value = self.value() or DEFAULT_PERIOD
        # Request ids are indexed, so a search for one covers all time.
        if request.GET.get("q") or value not in PERIODS:
            return queryset
        return queryset.filter(since(PERIODS[value][1]))


class StatusFilter(_Dropdown):
    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, label) for name, (label, _) in STATUSES.items()]

    def queryset(self, request: HttpRequest, queryset: "_Usage") -> "_Usage":
        chosen = STATUSES.get(self.value() or "")
        return queryset.filter(chosen[1]) if chosen else queryset


class _IdFilter(_Dropdown):
    field = ""

    def queryset(self, request: HttpRequest, queryset: "_Usage") -> "_Usage":
        value = self.value() or ""
        return queryset.filter(**{self.field: int(value)}) if value.isdecimal() else queryset


class TenantFilter(_IdFilter):
    title = "tenant"
    parameter_name = "tenant"
    field = "tenant_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(pk), name) for pk, name in Tenant.objects.values_list("pk", "name")]


class KeyFilter(_IdFilter):
    title = "key"
    parameter_name = "key"
    field = "key_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        offered = InferenceKey.objects.select_related("tenant")
        tenant = request.GET.get("tenant", "")
        if tenant.isdecimal():
            offered = offered.filter(tenant=int(tenant))
        return [(str(key.pk), f"{key.tenant.name}: {key.name}") for key in offered[:MAX_KEYS]]


class BookedToFilter(KeyFilter):
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(NO_KEY), OPERATOR.capitalize()), *super().lookups(request, model_admin)]


class ModelFilter(_Text):
    title = "model"
    parameter_name = "model"

    def queryset(self, request: HttpRequest, queryset: "_Usage") -> "_Usage":
        value = (self.value() or "").strip()
        return queryset.filter(model=value) if value else queryset


def status_badge(status: int) -> str:
    """Return an HTTP status as a badge."""
    if status == CLIENT_LEFT:
        return badge("client disconnected", "info")
    label, variant = {2: ("ok", "success"), 4: ("refused", "warning"), 5: ("failed", "danger")}.get(
        status // 100, ("", "default")
    )
    return badge(f"{status} {label}", variant)


@admin.register(UsageRecord)
class UsageRecordAdmin(GatewayAdmin[UsageRecord]):
    list_display = (
        "when", "outcome", "model_and_route", "tenant_and_key", "tokens", "latency", "answered_by",
    )  # fmt: skip
    list_filter = (PeriodFilter, StatusFilter, TenantFilter, BookedToFilter, ModelFilter)
    search_fields = ("request_id",)
    search_help_text = "Request id, file id or the start of a key"
    empty_text = (
        "Every authenticated request is recorded here, successful or not. The list shows the last 7 days; use the "
        "filters for longer periods."
    )
    empty_link = ("tenants_inferencekey", "Open the keys")
    # No counts, and no ordering except by the primary key.
    paginator = InfinitePaginator
    show_full_result_count = False
    sortable_by = ()
    ordering = ("-id",)
    list_fullwidth = True
    actions = None
    fieldsets = (
        (
            "Request",
            {
                "fields": (
                    "request_link", "exact_time", "tenant_link", "key_link", "route", "model", "answer", "why",
                )
            },
        ),
        ("Outcome", {"fields": ("outcome", "error_detail")}),
        (
            "Provider",
            {
                "fields": ("agent_version", "provider", "raw_model"),
                "description": "Visible to operators only, never to clients.",
            },
        ),
        (
            "Tokens and time",
            {
                "fields": (
                    "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "counted_by",
                    "other_units",
                    "time_taken", "first_token",
                )
            },
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> "_Usage":
        # Records have no foreign keys; these subqueries run only for the rows of one page.
        return (
            super()
            .get_queryset(request)
            .annotate(
                tenant_name=Subquery(Tenant.objects.filter(pk=OuterRef("tenant_id")).values("name")[:1]),
                key_name=Subquery(InferenceKey.objects.filter(pk=OuterRef("key_id")).values("name")[:1]),
            )
        )

    def get_search_results(
        self, request: HttpRequest, queryset: "_Usage", search_term: str
    ) -> tuple["_Usage", bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.startswith(keys.PREFIX):
            public_id = term.removeprefix(keys.PREFIX).partition("_")[0]
            key = InferenceKey.objects.filter(public_id=public_id).values("pk")
            return queryset.filter(key_id__in=key), False
        return queryset.filter(request_id=term), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: UsageRecord | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: UsageRecord | None = None) -> bool:
        return False

    @display(description="Time", header=True)
    def when(self, record: UsageRecord) -> list[str]:
        return [f"{record.created_at:%H:%M:%S}", f"{record.created_at:%Y-%m-%d}"]

    @display(description="Outcome")
    def outcome(self, record: UsageRecord) -> str:
        if not record.error_code:
            return status_badge(record.status)
        return format_html(
            '{}<div class="text-base-500">{}</div>', status_badge(record.status), record.error_code
        )

    @display(description="Model", header=True)
    def model_and_route(self, record: UsageRecord) -> list[str]:
        return [record.model or "-", record.route]

    @display(description="Tenant", header=True)
    def tenant_and_key(self, record: Any) -> list[str]:
        tenant = record.tenant_name or f"tenant {record.tenant_id}"
        return [tenant, _without_key(record) or record.key_name or f"key {record.key_id}"]

    @display(description="Tokens in + out")
    def tokens(self, record: UsageRecord) -> str:
        return f"{'~' if record.estimated else ''}{record.input_tokens:,} + {record.output_tokens:,}"

    @display(description="Time taken", header=True)
    def latency(self, record: UsageRecord) -> list[str]:
        first = f"first token {record.first_token_ms:,} ms" if record.first_token_ms is not None else ""
        return [f"{record.latency_ms:,} ms", first]

    @display(description="Answered by", header=True)
    def answered_by(self, record: UsageRecord) -> list[str]:
        return [record.provider or "-", record.raw_model]

    @display(description="Request id")
    def request_link(self, record: UsageRecord) -> str:
        for prefix, (parameter, description) in BACKGROUND_WORK.items():
            if record.request_id.startswith(prefix):
                address = f"{reverse('admin:files_datasetfile_changelist')}?{parameter}={record.request_id}"
                return format_html(
                    '<a class="text-link" href="{}">{}</a> {}', address, record.request_id, description
                )
        return record.request_id

    @display(description="Time")
    def exact_time(self, record: UsageRecord) -> str:
        return f"{record.created_at:%Y-%m-%d %H:%M:%S.%f} UTC"

    @display(description="Response")
    def answer(self, record: UsageRecord) -> str:
        return "streamed" if record.streamed else "not streamed"

    @display(description="Why this answer", empty_value="-")
    def why(self, record: UsageRecord) -> str | None:
        if record.route not in ANSWER_ROUTES:
            return None
        # A page of a higher app, so it is reversed by name.
        address = reverse("admin:inference_explanation_why", args=[record.request_id])
        return format_html('<a class="text-link" href="{}">Its context chunks</a>', address)

    @display(description="Token counts", empty_value="-")
    def counted_by(self, record: UsageRecord) -> str | None:
        if not record.provider:
            return None
        return "the gateway (the provider reported none)" if record.estimated else "the provider"

    @display(description="Other units", empty_value="-")
    def other_units(self, record: UsageRecord) -> str | None:
        units = [
            (record.characters, f"{pluralize(record.characters, 'character')} converted to speech"),
            (record.audio_ms, f"{record.audio_ms / 1000:,.1f} s of audio transcribed"),
            (record.images, f"{pluralize(record.images, 'image')} generated"),
        ]
        return ", ".join(text for amount, text in units if amount) or None

    @display(description="Time taken")
    def time_taken(self, record: UsageRecord) -> str:
        return f"{record.latency_ms:,} ms"

    @display(description="Time to first token", empty_value="-")
    def first_token(self, record: UsageRecord) -> str | None:
        return f"{record.first_token_ms:,} ms" if record.first_token_ms is not None else None

    @display(description="Tenant")
    def tenant_link(self, record: Any) -> str:
        return _link("tenants_tenant", record.tenant_id, record.tenant_name)

    @display(description="Key")
    def key_link(self, record: Any) -> str:
        return _without_key(record) or _link("tenants_inferencekey", record.key_id, record.key_name)


def _without_key(record: UsageRecord) -> str:
    return OPERATOR if record.key_id == NO_KEY else ""


def _link(page: str, pk: int, name: str | None) -> str:
    if name is None:
        return f"{pk} (deleted)"
    return format_html(
        '<a class="text-link" href="{}">{}</a>', reverse(f"admin:{page}_change", args=[pk]), name
    )
