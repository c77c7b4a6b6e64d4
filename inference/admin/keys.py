"""The admin of API keys: issue, change, rotate and revoke them, and see their effective access."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import DropdownFilter, RelatedDropdownFilter

from files.models import Dataset
from gtapi.templatetags.amounts import ago, ahead
from gtapi.text import pluralize
from inference.admin.alerts import SOON
from inference.admin.code_samples import code_samples, sample_for
from inference.admin.key_forms import KeyForm, preset_label
from inference.endpoints import ENDPOINTS
from inference.policy import Refusal, ReportRow, report
from tenants import keys
from tenants.admin.base import TenantOwnedAdmin, badge
from tenants.admin.base_urls import base_urls
from tenants.admin.theme import ActionVariant, display, page_action
from tenants.authentication import KeyFacts
from tenants.models import InferenceKey
from tenants.scopes import expand

if TYPE_CHECKING:
    from django.contrib.admin import SimpleListFilter as _Dropdown
else:
    _Dropdown = DropdownFilter

STATES = {
    "active": ("Active", "success"),
    "expired": ("Expired", "warning"),
    "revoked": ("Revoked", "danger"),
}


class KeyStateFilter(_Dropdown):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            *((state, label) for state, (label, _) in STATES.items()),
            ("unused", "Active, never used"),
            ("expiring", "Expires within 14 days"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[InferenceKey]) -> QuerySet[InferenceKey]:
        now = timezone.now()
        live = Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=now))
        chosen = {
            "active": live,
            "expired": Q(revoked_at=None, expires_at__lte=now),
            "revoked": Q(revoked_at__isnull=False),
            "unused": live & Q(activity=None),
            "expiring": live & Q(expires_at__lte=now + SOON),
        }.get(self.value() or "")
        return queryset.filter(chosen) if chosen else queryset


def _summary(row: ReportRow) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return the routes that a key may call a target on, and the others by the reason why not.

    Routes that the key's scopes do not open are left out: for them the reason is the same with every target.
    """
    allowed = []
    refused: dict[str, list[str]] = {}
    for endpoint, verdict in row.verdicts:
        if verdict.allowed:
            allowed.append(endpoint.path)
        elif verdict.refusal is not Refusal.SCOPE:
            # What a model cannot do is one reason, however many things they are.
            reason = "it cannot do that" if verdict.refusal is Refusal.CAPABILITY else verdict.reason
            refused.setdefault(reason, []).append(endpoint.path)
    return allowed, list(refused.items())


@admin.register(InferenceKey)
class InferenceKeyAdmin(TenantOwnedAdmin[InferenceKey]):
    form = KeyForm
    list_display = ("heading", "tenant", "state", "access", "reach", "last_used", "expires", "created")
    list_filter = (("tenant", RelatedDropdownFilter), KeyStateFilter)
    list_select_related = ("tenant", "activity")
    search_fields = ("name", "public_id")
    search_help_text = "Name, or the start of a key"
    empty_text = "A client needs a key. The key's scopes and allowed models define what it can do."
    readonly_fields = ("state", "public_part", "created_at", "last_used")
    actions = ("revoke_selected",)
    actions_detail = ("usage_page", "sees_page", "rotate_page", "revoke_page")

    def get_queryset(self, request: HttpRequest) -> QuerySet[InferenceKey]:
        one = InferenceKey.objects.filter(pk=OuterRef("pk")).order_by()
        granted = Subquery(one.annotate(n=Count("grants")).values("n"), output_field=IntegerField())
        return super().get_queryset(request).annotate(grant_count=granted)

    def get_fieldsets(self, request: HttpRequest, obj: InferenceKey | None = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            seen = ("state", "public_part", "created_at", "expires_at", "revoked_at", "last_used")
            return [
                (None, {"fields": ("tenant", "name", *seen)}),
                ("Scopes", {"fields": ("scopes", "granted")}),
            ]
        facts = ("state", "public_part", "created_at", "last_used") if obj else ()
        return [
            (None, {"fields": ("tenant", "name", "expires_at", *facts)}),
            ("Scopes", {"fields": ("preset", "scopes")}),
            ("Allowed models and datasets", {"fields": ("allow", "datasets")}),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[InferenceKey], search_term: str
    ) -> tuple[QuerySet[InferenceKey], bool]:
        term = search_term.strip()
        if term.startswith(keys.PREFIX):
            # A pasted key, whole or cut off, is searched for by its public part only.
            term = term.removeprefix(keys.PREFIX).partition("_")[0].rstrip("….")
        return super().get_search_results(request, queryset, term)

    def has_change_permission(self, request: HttpRequest, obj: InferenceKey | None = None) -> bool:
        # The theme asks with an id in place of the object.
        if isinstance(obj, InferenceKey) and obj.revoked_at:
            return False
        return super().has_change_permission(request, obj)

    # --- what it did ----------------------------------------------------------------------------------------

    def has_usage_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("tenants.view_usagerecord")

    @page_action(description="Usage", url_path="usage", icon="monitoring", permissions=["usage"])
    def usage_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Redirect to the usage records of the key."""
        key = self.fetch(request, object_id, "view")
        return HttpResponseRedirect(f"{reverse('admin:tenants_usagerecord_changelist')}?key={key.pk}")

    # --- making one ---------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: InferenceKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        issued, plain = InferenceKey.objects.issue(
            obj.tenant, obj.name, obj.scopes, expires_at=obj.expires_at
        )
        obj.pk = issued.pk
        obj.refresh_from_db()
        # It lives as long as this request, which answers with it.
        obj.plain = plain  # type: ignore[attr-defined]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        form.save_grants(form.instance)

    def response_add(
        self,
        request: HttpRequest,
        obj: InferenceKey,
        post_url_continue: str | None = None,
    ) -> HttpResponse:
        return self._show_once(request, obj, obj.plain, "Your new key")  # type: ignore[attr-defined]

    def _show_once(self, request: HttpRequest, key: InferenceKey, plain: str, title: str) -> TemplateResponse:
        """Show a new key. This response is the only place where it appears, and must not be cached."""
        example = sample_for(key)
        addresses = base_urls(key.tenant, request)
        response = self.page(
            request,
            "admin/tenants/inferencekey/once.html",
            title,
            key,
            plain=plain,
            base_url=addresses[0],
            example=example,
            code_samples=code_samples(addresses[0], plain, example) if example else [],
        )
        response["Cache-Control"] = "no-store, private"
        return response

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        if kwargs.get("add"):
            # The answer to an addition is the new key, and nothing else.
            context.update(show_save_and_continue=False, show_save_and_add_another=False)
        return super().render_change_form(request, context, *args, **kwargs)

    # --- pages of one key -----------------------------------------------------------------------------------

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        shown: list[Any] = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        # The address may hold anything.
        key = InferenceKey.objects.filter(pk=object_id).first() if str(object_id).isdecimal() else None
        if key is not None and key.revoked_at:
            return [action for action in shown if action.path == "sees"]
        return shown

    @page_action(description="Effective access", url_path="sees", icon="visibility", permissions=["view"])
    def sees_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.fetch(request, object_id, "view")
        rows = report(key)
        scopes = expand(key.scopes)
        return self.page(
            request,
            "admin/tenants/inferencekey/sees.html",
            f"Effective access of {key.name}",
            key,
            rows=[(row.target, *_summary(row)) for row in rows],
            callable_count=sum(any(v.allowed for _, v in row.verdicts) for row in rows),
            refused=KeyFacts.of(key).refusal_reason(),
            closed=[endpoint for endpoint in ENDPOINTS.values() if endpoint.scope not in scopes],
            listed="models:read" in scopes,
            datasets=Dataset.objects.filter(grants__key=key),
        )

    @page_action(description="New secret", url_path="rotate", icon="autorenew", permissions=["change"])
    def rotate_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.fetch(request, object_id)
        if request.method != "POST":
            return self.confirm(
                request,
                "Give this key a new secret",
                "Make a new secret",
                [
                    "The secret that is in use now stops working within a second.",
                    "Scopes, grants, files, conversations and usage stay with the key.",
                ],
                obj=key,
                danger=True,
            )
        try:
            plain = key.rotate()
        except ValidationError as error:
            # It was revoked in the meantime.
            self.message_user(request, error.messages[0], "ERROR")
            return self.back_to(key)
        self.log_change(request, key, "Gave it a new secret.")
        return self._show_once(request, key, plain, "The new secret")

    @page_action(
        description="Revoke",
        url_path="revoke",
        icon="block",
        permissions=["change"],
        variant=ActionVariant.DANGER,
    )
    def revoke_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.fetch(request, object_id)
        if request.method != "POST":
            return self.confirm(
                request,
                "Revoke this key",
                "Revoke for good",
                [
                    f"Every request with {keys.PREFIX}{key.public_id}… is refused within a second.",
                    "This cannot be undone: a revoked key stays revoked.",
                ],
                obj=key,
                danger=True,
            )
        if key.revoke():
            self.log_change(request, key, "Revoked.")
            self.message_user(request, f"Revoked the key {key.name}.", "SUCCESS")
        else:
            self.message_user(request, f"The key {key.name} was revoked already.", "WARNING")
        return self.back_to(key)

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[InferenceKey]) -> HttpResponse | None:
        chosen = list(queryset)
        live = [key for key in chosen if not key.revoked_at]
        if live and "confirm" not in request.POST:
            return self.confirm(
                request,
                f"Revoke {pluralize(len(live), 'key')}",
                "Revoke for good",
                [
                    "Every request with one of these keys is refused within a second.",
                    "This cannot be undone: a revoked key stays revoked.",
                ],
                danger=True,
                items=[f"{key.tenant}: {key}" for key in live],
                hidden=[
                    ("action", "revoke_selected"),
                    *((ACTION_CHECKBOX_NAME, str(key.pk)) for key in live),
                ],
            )
        revoked = InferenceKey.objects.filter(pk__in=[key.pk for key in live]).revoke()
        for key in live:
            self.log_change(request, key, "Revoked.")
        said = f"Revoked {pluralize(revoked, 'key')}."
        if already := len(chosen) - revoked:
            said += f" {pluralize(already, 'was,were')} revoked already."
        self.message_user(request, said, "SUCCESS" if revoked else "WARNING")
        return None

    # --- columns --------------------------------------------------------------------------------------------

    @display(description="Key", ordering="name", header=True)
    def heading(self, key: InferenceKey) -> list[str]:
        return [key.name, f"{keys.PREFIX}{key.public_id}…"]

    @display(description="Key prefix")
    def public_part(self, key: InferenceKey) -> str:
        return f"{keys.PREFIX}{key.public_id}…"

    @display(description="State")
    def state(self, key: InferenceKey) -> str:
        if key.state == "active" and not key.tenant.active:
            return badge("Tenant off", "danger", "Refused while its tenant is off.")
        return badge(*STATES[key.state])

    @display(description="Access")
    def access(self, key: InferenceKey) -> str:
        return preset_label(key.scopes)

    @display(description="Allowed models", ordering="grant_count")
    def reach(self, key: Any) -> str:
        return pluralize(key.grant_count, "name") if key.grant_count else badge("nothing", "warning")

    @display(description="Allowed models")
    def granted(self, key: InferenceKey) -> str:
        return ", ".join(key.grants.values_list("target__name", flat=True)) or "nothing"

    @display(description="Last used", ordering="activity__last_used_at")
    def last_used(self, key: InferenceKey) -> str:
        activity = getattr(key, "activity", None)
        return ago(activity.last_used_at) if activity else "never"

    @display(description="Expires", ordering="expires_at", empty_value="never")
    def expires(self, key: InferenceKey) -> str | None:
        if key.expires_at is None:
            return None
        if key.state == "expired":
            return ago(key.expires_at)
        left = ahead(key.expires_at)
        return badge(left, "warning") if key.expires_at <= timezone.now() + SOON else left

    @display(description="Created", ordering="created_at")
    def created(self, key: InferenceKey) -> str:
        return ago(key.created_at)
