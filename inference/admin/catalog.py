"""The admin of the catalog: providers' models under public names."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from unfold.contrib.filters.admin import BooleanRadioFilter, RelatedDropdownFilter

from files.models import Dataset
from gtapi.model_settings import by_section
from inference.endpoints import ENDPOINTS
from inference.models import Agent, Capability, CatalogEntry
from inference.models.catalog import EMBEDDING
from tenants.admin.base import TenantOwnedAdmin, TenantOwnedForm, badge
from tenants.admin.theme import display
from tenants.admin.widgets import CheckRows

#: The maximum number of users of an entry that its page names.
USERS_SHOWN = 20


class CatalogEntryForm(TenantOwnedForm[CatalogEntry]):
    capabilities = forms.MultipleChoiceField(choices=Capability.choices, widget=CheckRows(columns=2))

    class Meta:
        model = CatalogEntry
        fields = ("name", *(setting.field for setting in CatalogEntry.SETTINGS))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for side in ("query_prefix", "passage_prefix"):
            if side in self.fields:
                # The space at the end of "query: " is part of it.
                self.fields[side].strip = False  # type: ignore[attr-defined]
        if "provider" not in self.fields:
            return
        provider: Any = self.fields["provider"]
        provider.queryset = self.tenant.providers.all()
        if not provider.queryset.exists():
            provider.help_text = format_html(
                'This tenant has no provider yet. <a class="text-link" href="{}?tenant={}">Add one first.</a>',
                reverse("admin:inference_provider_add"),
                self.tenant.pk,
            )
        served: dict[str, list[str]] = {}
        for endpoint in ENDPOINTS.values():
            served.setdefault(endpoint.capability, []).append(endpoint.path)
        capabilities: Any = self.fields["capabilities"]
        capabilities.widget.descriptions = {name: ", ".join(paths) for name, paths in served.items()}


@admin.register(CatalogEntry)
class CatalogEntryAdmin(TenantOwnedAdmin[CatalogEntry]):
    form = CatalogEntryForm
    list_display = ("heading", "tenant", "provider_and_model", "capability_badges", "state", "agent_count")
    list_filter = (
        ("tenant", RelatedDropdownFilter),
        ("provider", RelatedDropdownFilter),
        ("published", BooleanRadioFilter),
    )
    list_select_related = ("tenant", "provider")
    search_fields = ("name", "model")
    search_help_text = "Public name or raw model id"
    empty_text = (
        "An entry publishes a provider's model under a name. The test of a provider lists its models."
    )
    empty_link = ("inference_provider", "Open the providers")
    readonly_fields = ("used_by",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CatalogEntry]:
        return super().get_queryset(request).annotate(agents_over=Count("agents"))

    def get_fieldsets(self, request: HttpRequest, obj: CatalogEntry | None = None) -> Any:
        used = ("used_by",) if obj else ()
        sections = by_section(CatalogEntry.SETTINGS)
        general, embedding = sections.pop(""), sections.pop(EMBEDDING)
        return [
            (None, {"fields": ("tenant", "name", *general, *used)}),
            *((section, {"fields": fields}) for section, fields in sections.items()),
            (
                EMBEDDING,
                {
                    "fields": tuple(embedding[at : at + 2] for at in range(0, len(embedding), 2)),
                    "description": "For models that embed questions and chunks differently, such as E5. Most "
                    "models need nothing here. The similarities define the relevance of chunks and differ by "
                    "model.",
                    "classes": ("collapse",),
                },
            ),
        ]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        initial["capabilities"] = request.GET.getlist("capabilities") or [Capability.CHAT]
        return initial

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        deleted, counts, lacking, protected = super().get_deleted_objects(objs, request)
        # The database allows deleting an entry that only a live version uses, but the agent would stop working.
        drafts = Q(catalog__in=objs)
        for agent in Agent.objects.filter(Q(live__catalog__in=objs) & ~drafts).select_related("live"):
            protected.append(f"Agent: {agent.name} (its live version {agent.live.number})")  # type: ignore[union-attr]
        return deleted, counts, lacking, protected

    @display(description="Name", ordering="name", header=True)
    def heading(self, entry: CatalogEntry) -> list[str]:
        return [entry.name]

    @display(description="Provider and its model", ordering="provider__name", header=True)
    def provider_and_model(self, entry: CatalogEntry) -> list[str]:
        return [entry.provider.name, entry.model]

    @display(description="Capabilities")
    def capability_badges(self, entry: CatalogEntry) -> str:
        return format_html_join(" ", "{}", ((badge(name, "primary"),) for name in entry.capabilities))

    @display(description="State", ordering="published")
    def state(self, entry: CatalogEntry) -> str:
        return badge("published", "success") if entry.published else badge("agents only", "info")

    @display(description="Agents", ordering="agents_over")
    def agent_count(self, entry: Any) -> int:
        count: int = entry.agents_over
        return count

    @display(description="Used by")
    def used_by(self, entry: CatalogEntry) -> str:
        link = '<a class="text-link" href="{}">{}</a>'
        shown = list(islice(_users(entry), USERS_SHOWN + 1))
        more = " and more" if len(shown) > USERS_SHOWN else ""
        return format_html("{}{}", format_html_join(", ", link, shown[:USERS_SHOWN]) or "nothing", more)


def _users(entry: CatalogEntry) -> Iterator[tuple[str, str]]:
    """Yield the address and the name of each user of an entry."""
    for agent in Agent.objects.filter(Q(catalog=entry) | Q(live__catalog=entry)).distinct():
        yield reverse("admin:inference_agent_change", args=[agent.pk]), agent.name
    tenant = entry.tenant
    if entry.name in (tenant.embedding, tenant.transcription):
        yield reverse("admin:tenants_tenant_change", args=[tenant.pk]), f"{tenant.name} for its files"
    # Datasets belong to an app below this one, and refer to an entry by name.
    made_by = Q(embedding=entry.name) | Q(indexed_embedding=entry.name)
    for dataset in Dataset.objects.visible().filter(made_by, tenant=tenant)[:USERS_SHOWN]:
        yield reverse("admin:files_dataset_change", args=[quote(dataset.pk)]), f"the dataset {dataset.name}"
