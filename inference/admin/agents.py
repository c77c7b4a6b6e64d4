"""The admin of agents: edit a draft, publish versions and restore earlier ones."""

import json
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.forms.fields import InvalidJSONInput
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import DropdownFilter, RelatedDropdownFilter
from unfold.widgets import UnfoldAdminTextareaWidget

from gtapi.model_settings import by_section
from gtapi.text import pluralize
from inference.admin.diff import Names, differences
from inference.models import Agent, AgentVersion, CatalogEntry
from inference.models.agents import DATA
from inference.parameters import RESERVED
from tenants.admin.base import TenantOwnedAdmin, TenantOwnedForm, badge
from tenants.admin.theme import ActionVariant, display, page_action
from tenants.admin.widgets import CheckRows

if TYPE_CHECKING:
    from django.contrib.admin import SimpleListFilter as _Dropdown
else:
    _Dropdown = DropdownFilter


SECTION_HELP = {
    DATA: "Each question is searched for in these datasets, and the best chunks are put into the prompt. The "
    "answer cites them. A key that may call the agent needs no grant for its datasets.",
}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


class ParametersField(forms.JSONField):
    """A JSON object, with an error that says where it is broken."""

    def __init__(self, *, placeholder: str, help_text: str) -> None:
        widget = UnfoldAdminTextareaWidget(
            {"rows": 5, "placeholder": placeholder, "class": "gt-mono", "spellcheck": "false"}
        )
        super().__init__(required=False, widget=widget, help_text=help_text)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and not value.strip():
            return {}
        if isinstance(value, str):
            try:
                json.loads(value, parse_constant=_refuse_constant)
            except (ValueError, RecursionError) as error:
                raise ValidationError(f"This is not valid JSON: {error}.") from None
            if "\\u0000" in value or "\0" in value:
                raise ValidationError("The database cannot store a NUL character.")
        return super().to_python(value)

    def bound_data(self, data: Any, initial: Any) -> Any:
        # What was typed goes back as it was typed, whether it is JSON or not.
        return InvalidJSONInput(data) if isinstance(data, str) else super().bound_data(data, initial)

    def prepare_value(self, value: Any) -> Any:
        if value is None or value == {}:
            return ""
        return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(initial or {}, data)


class AgentForm(TenantOwnedForm[Agent]):
    parameters = ParametersField(
        placeholder='{\n  "temperature": 0.2\n}',
        help_text="Defaults for parameters that the client does not send.",
    )
    forced = ParametersField(
        placeholder='{\n  "max_tokens": 500\n}',
        help_text=f"Values that clients cannot change. Not allowed in either: {', '.join(sorted(RESERVED))}.",
    )

    class Meta:
        model = Agent
        fields = ("name", *(setting.field for setting in Agent.SETTINGS))
        labels = {"name": "Alias"}
        help_texts = {"name": "What clients send as the model, such as support-assistant."}
        widgets = {
            "datasets": CheckRows(empty="This tenant has no dataset yet."),
            "unknown_answer": UnfoldAdminTextareaWidget(
                {"rows": 2, "placeholder": "I am sorry, I do not know that."}
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "catalog" not in self.fields:
            return
        self.fields["forced"].label = "Forced parameters"
        catalog: Any = self.fields["catalog"]
        catalog.queryset = CatalogEntry.objects.filter(tenant=self.tenant, capabilities__contains=["chat"])
        if not catalog.queryset.exists():
            catalog.help_text = format_html(
                'This tenant has no catalog entry that supports chat. <a class="text-link" href="{}?tenant={}">'
                "Add one first.</a>",
                reverse("admin:inference_catalogentry_add"),
                self.tenant.pk,
            )
        datasets: Any = self.fields["datasets"]
        datasets.queryset = self.tenant.datasets.filter(hidden=False)


class AgentStateFilter(_Dropdown):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("live", "Published"), ("off", "Not published"), ("dirty", "Unpublished changes")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Agent]) -> QuerySet[Agent]:
        if self.value() == "dirty":
            # The comparison is the model's; a tenant has tens of agents.
            published = queryset.exclude(live=None).select_related("live").prefetch_related("datasets")
            return queryset.filter(
                pk__in=[agent.pk for agent in published if agent.has_unpublished_changes()]
            )
        if self.value() in ("live", "off"):
            return queryset.filter(live__isnull=self.value() == "off")
        return queryset


def _missing(version: AgentVersion) -> str:
    """Return what to say of a version's datasets that are gone, if any are."""
    gone = version.deleted_datasets()
    if not gone:
        return ""
    said = pluralize(len(gone), "dataset of it was,datasets of it were")
    return f"{said} deleted since and cannot be restored: {', '.join(gone)}."


@admin.register(Agent)
class AgentAdmin(TenantOwnedAdmin[Agent]):
    form = AgentForm
    list_display = ("heading", "tenant", "over", "state", "versions_made")
    list_filter = (("tenant", RelatedDropdownFilter), AgentStateFilter)
    list_select_related = ("tenant", "catalog", "live")
    search_fields = ("name", "catalog__name")
    search_help_text = "Alias or catalog entry"
    empty_text = (
        "An agent is a catalog entry with instructions and data, under a name that clients send as the model."
    )
    readonly_fields = ("state",)
    actions = ("publish_selected", "unpublish_selected")
    actions_detail = ("publish_page", "versions_page", "restore_page", "unpublish_page")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        found = super().get_queryset(request).annotate(version_count=Count("versions"))
        return found.prefetch_related("datasets")

    def get_fieldsets(self, request: HttpRequest, obj: Agent | None = None) -> Any:
        state = ("state",) if obj else ()
        return [
            (None, {"fields": ("tenant", "name", *state)}),
            *(
                (section, {"fields": fields, "description": SECTION_HELP.get(section)})
                for section, fields in by_section(Agent.SETTINGS).items()
            ),
        ]

    def response_post_save_add(self, request: HttpRequest, obj: Agent) -> HttpResponseRedirect:
        self.message_user(
            request,
            format_html(
                'It is a draft: clients cannot reach it yet. <a class="underline" href="{}">Publish it</a>',
                self.url_of(obj, "publish_page"),
            ),
            "WARNING",
        )
        return self.back_to(obj)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        shown: list[Any] = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        if not str(object_id).isdecimal():
            return shown
        agent = Agent.objects.filter(pk=object_id).select_related("live").first()
        if agent is None:
            return shown
        earlier = agent.versions.filter(number__lt=agent.live.number) if agent.live else agent.versions.all()
        useless = {
            "publish": not agent.has_unpublished_changes(),
            "unpublish": agent.live is None,
            "restore": not earlier.exists(),
        }
        return [action for action in shown if not useless.get(action.path)]

    # --- publishing -----------------------------------------------------------------------------------------

    def _publish(self, request: HttpRequest, agent: Agent) -> AgentVersion:
        version = agent.publish(by=request.user.get_username())
        self.log_change(request, agent, f"Published version {version.number}.")
        return version

    @page_action(
        description="Publish",
        url_path="publish",
        icon="publish",
        permissions=["change"],
        variant=ActionVariant.PRIMARY,
    )
    def publish_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        agent = self.fetch(request, object_id)
        if request.method == "POST":
            version = self._publish(request, agent)
            self.message_user(request, f"Version {version.number} of {agent.name} is live.", "SUCCESS")
            return self.back_to(agent)
        names = Names(agent.tenant_id)
        changes = differences(names.of_version(agent.live) if agent.live else None, names.of_draft(agent))
        return self.confirm(
            request,
            f"Publish {agent.name}",
            "Publish",
            [
                f"Clients get version {agent.live.number}. Publishing changes this for them within a second:"
                if agent.live
                else "Clients cannot reach this agent yet. Within a second they will get:"
            ],
            obj=agent,
            template="admin/inference/agent/publish.html",
            changes=changes,
        )

    @page_action(description="Unpublish", url_path="unpublish", icon="visibility_off", permissions=["change"])
    def unpublish_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        agent = self.fetch(request, object_id)
        if request.method != "POST":
            return self.confirm(
                request,
                f"Unpublish {agent.name}",
                "Unpublish",
                [
                    "Within a second, requests for this model return 404.",
                    "The draft and all versions are kept. Publish again to restore access.",
                ],
                obj=agent,
                danger=True,
            )
        if agent.unpublish():
            self.log_change(request, agent, "Unpublished.")
            self.message_user(request, f"{agent.name} is unpublished.", "SUCCESS")
        else:
            self.message_user(request, f"{agent.name} was not published.", "WARNING")
        return self.back_to(agent)

    @page_action(description="Restore previous", url_path="restore", icon="undo", permissions=["change"])
    def restore_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Restore an earlier version: the one in ``number``, or the one before the live one."""
        agent = self.fetch(request, object_id)
        version = self._version(request, agent)
        if version is None:
            self.message_user(request, "There is no earlier version to restore.", "WARNING")
            return self.back_to(agent)
        if request.method == "POST":
            try:
                restored = agent.restore(version)
            except ValidationError as error:
                self.message_user(request, error.messages[0], "ERROR")
                return self.back_to(agent)
            self.log_change(request, agent, f"Restored version {restored.number}.")
            self.message_user(request, f"Version {restored.number} of {agent.name} is live again.", "SUCCESS")
            if missing := _missing(restored):
                self.message_user(request, missing, "WARNING")
            return self.back_to(agent)
        lines = ["It becomes live within a second and replaces the draft. What changes for clients:"]
        if missing := _missing(version):
            lines.insert(0, missing)
        names = Names(agent.tenant_id)
        current = names.of_version(agent.live) if agent.live else None
        return self.confirm(
            request,
            f"Restore version {version.number} of {agent.name}",
            f"Restore version {version.number}",
            lines,
            obj=agent,
            template="admin/inference/agent/publish.html",
            changes=differences(current, names.of_version(version)),
            hidden=[("number", str(version.number))],
        )

    def _version(self, request: HttpRequest, agent: Agent) -> AgentVersion | None:
        number = request.POST.get("number", request.GET.get("number"))
        if number is None:
            earlier = (
                agent.versions.filter(number__lt=agent.live.number) if agent.live else agent.versions.all()
            )
            return earlier.order_by("-number").first()
        found = agent.versions.filter(number=number).first() if number.isdecimal() else None
        if found is None:
            raise Http404("There is no such version.")
        return found

    @page_action(description="Versions", url_path="versions", icon="history", permissions=["view"])
    def versions_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        agent = self.fetch(request, object_id, "view")
        names = Names(agent.tenant_id)
        versions = list(agent.versions.all())
        older: list[AgentVersion | None] = [*versions[1:], None]
        rows = [
            (version, differences(names.of_version(before) if before else None, names.of_version(version)))
            for version, before in zip(versions, older, strict=True)
        ]
        draft = names.of_draft(agent)
        live = names.of_version(agent.live) if agent.live else None
        return self.page(
            request,
            "admin/inference/agent/versions.html",
            f"Versions of {agent.name}",
            agent,
            rows=rows,
            draft_changes=differences(live, draft) if agent.has_unpublished_changes() else [],
            may_change=self.has_change_permission(request, agent),
        )

    @admin.action(description="Publish the selected agents", permissions=["change"])
    def publish_selected(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        dirty = [agent for agent in queryset.select_related("live") if agent.has_unpublished_changes()]
        for agent in dirty:
            self._publish(request, agent)
        same = len(queryset) - len(dirty)
        said = f"Published {pluralize(len(dirty), 'agent')}."
        if same:
            said += f" {same} had no changes."
        self.message_user(request, said, "SUCCESS" if dirty else "WARNING")

    @admin.action(description="Unpublish the selected agents", permissions=["change"])
    def unpublish_selected(self, request: HttpRequest, queryset: QuerySet[Agent]) -> HttpResponse | None:
        live = [agent for agent in queryset if agent.live_id]
        if live and "confirm" not in request.POST:
            return self.confirm(
                request,
                f"Unpublish {pluralize(len(live), 'agent')}",
                "Unpublish",
                ["Within a second, requests for these models return 404."],
                danger=True,
                items=[f"{agent.tenant}: {agent.name}" for agent in live],
                hidden=[
                    ("action", "unpublish_selected"),
                    *((ACTION_CHECKBOX_NAME, str(agent.pk)) for agent in live),
                ],
            )
        stopped = [agent for agent in live if agent.unpublish()]
        for agent in stopped:
            self.log_change(request, agent, "Unpublished.")
        said = f"Unpublished {pluralize(len(stopped), 'agent')}."
        self.message_user(request, said, "SUCCESS" if stopped else "WARNING")
        return None

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        # Datasets are stored by now, which the theme's own hook for this button is too early for.
        if "_publish" in request.POST and self.has_change_permission(request, form.instance):
            version = self._publish(request, form.instance)
            self.message_user(
                request, f"Version {version.number} of {form.instance.name} is live.", "SUCCESS"
            )

    # --- columns --------------------------------------------------------------------------------------------

    @display(description="Alias", ordering="name", header=True)
    def heading(self, agent: Agent) -> list[str]:
        return [agent.name]

    @display(description="Catalog entry", ordering="catalog__name")
    def over(self, agent: Agent) -> str:
        return agent.catalog.name

    @display(description="State", ordering="live")
    def state(self, agent: Agent) -> str:
        if agent.live is None:
            return badge("not published", "warning")
        if agent.live.catalog_id is None:
            return badge("model deleted", "danger")
        live = badge(f"version {agent.live.number} live", "success")
        if agent.has_unpublished_changes():
            return format_html("{} {}", live, badge("unpublished changes", "info"))
        return live

    @display(description="Versions", ordering="version_count")
    def versions_made(self, agent: Any) -> int:
        count: int = agent.version_count
        return count
