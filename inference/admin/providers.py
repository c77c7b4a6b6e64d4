"""The admin of providers, and the page that tests one and lists its models."""

from time import perf_counter
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.contrib.filters.admin import RelatedDropdownFilter

from gtapi.model_settings import by_section
from inference.admin.provider_forms import ProviderForm, kinds
from inference.models import CatalogEntry, Provider
from inference.models.providers import CREDENTIALS, TIMEOUTS
from inference.providers import ADAPTERS
from inference.providers.base import ConnectionTest
from inference.routing import connection_to
from tenants.admin.base import TenantOwnedAdmin, badge
from tenants.admin.theme import ActionVariant, display, page_action

#: Parts of model ids that suggest a capability.
_HINTS = (
    # Before embeddings: the names of many rerankers begin like those of their family, such as bge-.
    ("rerank", ("rerank",)),
    ("embed", ("embed", "e5", "bge-", "gte-")),
    ("transcribe", ("whisper", "transcribe")),
    ("speech", ("tts", "speech")),
    ("image", ("dall-e", "image", "stable-diffusion", "flux")),
    ("moderate", ("moderation", "guard")),
)


def guess_capability(model: str) -> str:
    """Guess a model's capability, as the initial value of a form that the operator checks."""
    for capability, hints in _HINTS:
        if any(hint in model.lower() for hint in hints):
            return capability
    return "chat"


def public_name(model: str) -> str:
    """Return a model's id without the characters that a public name cannot have."""
    name = "".join(c for c in model if c.isascii() and (c.isalnum() or c in "._:/@+-")).lstrip("._:/@+-")
    return name[:200]


class KindFilter(admin.SimpleListFilter):
    """Filters providers by kind."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return kinds()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Provider]) -> QuerySet[Provider]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


def _test(provider: Provider) -> ConnectionTest:
    adapter = ADAPTERS.get(provider.kind)
    if adapter is None:
        return ConnectionTest(False, f"The kind '{provider.kind}' has no adapter.")
    return adapter.check_connection(connection_to(provider))


@admin.register(Provider)
class ProviderAdmin(TenantOwnedAdmin[Provider]):
    form = ProviderForm
    list_display = ("heading", "tenant", "kind_name", "credentials", "entries")
    list_filter = (("tenant", RelatedDropdownFilter), KindFilter)
    search_fields = ("name", "base_url")
    search_help_text = "Name or base URL"
    empty_text = "Add a provider to use its models. To try the gateway without one, choose the fake kind."
    actions_detail = ("test_page",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        return super().get_queryset(request).annotate(entry_count=Count("catalog"))

    def get_fieldsets(self, request: HttpRequest, obj: Provider | None = None) -> Any:
        secrets: tuple[str, ...] = ("new_api_key", "remove_api_key", "new_headers")
        if obj is not None and not self.has_change_permission(request, obj):
            secrets = ("credentials", "header_names")
        elif obj is None or not obj.api_key:
            secrets = ("new_api_key", "new_headers")
        sections = by_section(Provider.SETTINGS)
        return [
            (None, {"fields": ("tenant", "name", *sections[""])}),
            (CREDENTIALS, {"fields": secrets}),
            (TIMEOUTS, {"fields": sections[TIMEOUTS], "classes": ("collapse",)}),
        ]

    def response_post_save_add(self, request: HttpRequest, obj: Provider) -> HttpResponseRedirect:
        # After adding a provider, the first question is whether it works.
        return HttpResponseRedirect(self.url_of(obj, "test_page"))

    @page_action(
        description="Test this provider",
        url_path="test",
        icon="network_check",
        permissions=["change"],
        variant=ActionVariant.PRIMARY,
    )
    def test_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        provider = self.fetch(request, object_id)
        if request.method != "POST":
            return self.page(request, "admin/inference/provider/test.html", "Test this provider", provider)
        started = perf_counter()
        result = _test(provider)
        milliseconds = round((perf_counter() - started) * 1000)
        names = {
            entry.model: entry
            for entry in CatalogEntry.objects.filter(provider=provider)
        }  # fmt: skip
        may_add = request.user.has_perm("inference.add_catalogentry")
        return self.page(
            request,
            "admin/inference/provider/test.html",
            "Test this provider",
            provider,
            result=result,
            milliseconds=milliseconds,
            models=[
                (model, names.get(model), self._add_link(provider, model) if may_add else "")
                for model in result.models
            ],
        )

    def _add_link(self, provider: Provider, model: str) -> str:
        query = {
            "tenant": provider.tenant_id,
            "provider": provider.pk,
            "model": model,
            "name": public_name(model),
            "capabilities": guess_capability(model),
        }
        return f"{reverse('admin:inference_catalogentry_add')}?{urlencode(query)}"

    @display(description="Provider", ordering="name", header=True)
    def heading(self, provider: Provider) -> list[str]:
        return [provider.name, provider.base_url or provider.kind_label]

    @display(description="Kind", ordering="kind")
    def kind_name(self, provider: Provider) -> str:
        return provider.kind_label

    @display(description="API key")
    def credentials(self, provider: Provider) -> str:
        return badge("stored", "success") if provider.api_key else badge("none")

    @display(description="Extra headers", empty_value="none")
    def header_names(self, provider: Provider) -> str:
        return ", ".join(sorted(provider.headers)) or "none"

    @display(description="Catalog entries", ordering="entry_count")
    def entries(self, provider: Any) -> int:
        count: int = provider.entry_count
        return count
