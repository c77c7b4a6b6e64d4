"""The admin of tenants: names, hosts, limits and base URLs."""

import re
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import BigIntegerField, Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import BooleanRadioFilter
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from gtapi.model_settings import by_section
from gtapi.templatetags.amounts import size as size_text
from gtapi.text import pluralize
from tenants.admin.base import DetailAdmin, badge
from tenants.admin.base_urls import base_urls
from tenants.admin.theme import ModelForm, display
from tenants.models import HOST, InferenceKey, Tenant, normalise_host


class HostsField(forms.CharField):
    """A list of hosts, one per line or separated by commas."""

    widget = UnfoldAdminTextareaWidget({"rows": 3, "placeholder": "ai.example.com"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        text: str = super().clean(value)
        hosts = []
        for entered in text.replace(",", " ").split():
            # Removing the port from a URL would leave only its scheme.
            host = entered if "/" in entered else normalise_host(entered)
            HOST(host)
            hosts.append(host)
        return list(dict.fromkeys(hosts))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial or []) != (data or "").replace("\r\n", "\n").strip())


class SizeField(forms.CharField):
    """A number of bytes with an optional unit: ``25 MB``, ``1.5 GB`` or ``1000000``."""

    units: ClassVar[dict[str, int]] = {
        "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
        "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
    }  # fmt: skip
    pattern = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?i?b)?", re.IGNORECASE)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, widget=UnfoldAdminTextInputWidget, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Return a size in the largest unit that represents it exactly."""
        if not isinstance(value, int):
            return value
        for unit in ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "KB"):
            size = self.units[unit.lower()]
            if value >= size and value % size == 0:
                return f"{value // size} {unit}"
        return str(value)

    def clean(self, value: Any) -> int | None:
        text: str = super().clean(value)
        if not text:
            return None
        match = self.pattern.fullmatch(text.replace(",", ""))
        if match is None:
            raise forms.ValidationError("Enter a size such as 25 MB, 1.5 GB or 1000000.")
        size = Decimal(match[1]) * self.units[(match[2] or "").lower()]
        if size > BigIntegerField.MAX_BIGINT:
            raise forms.ValidationError("This size is too large.")
        return int(size)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((self.prepare_value(initial) or "") != (data or "").strip())


class TenantForm(ModelForm[Tenant]):
    embedding = forms.ChoiceField(
        required=False,
        widget=UnfoldAdminSelectWidget,
        label="Default embedding model",
        help_text="Catalog entry that embeds the files of conversations, and of datasets that clients create "
        "without naming one.",
    )
    transcription = forms.ChoiceField(
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="Catalog entry that transcribes uploaded recordings.",
    )
    max_file_bytes = SizeField(label="Maximum file size")
    max_stored_bytes = SizeField(label="Maximum storage")
    hosts = HostsField(
        required=False,
        help_text="One per line. The tenant's keys are accepted only on these hosts. Empty: on any host.",
    )

    class Meta:
        model = Tenant
        fields = ("slug", *(setting.field for setting in Tenant.SETTINGS))
        labels = {
            "max_files": "Maximum files",
            "max_dataset_files": "Maximum dataset files",
            "max_datasets": "Maximum datasets",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field, capability, empty_label in (
            ("embedding", "embed", "None (full-text search only)"),
            ("transcription", "transcribe", "Automatic (the only entry with the capability)"),
        ):
            if field in self.fields:
                choice_field: Any = self.fields[field]
                choice_field.choices = self._entries(capability, getattr(self.instance, field), empty_label)
        for field, limit in (
            ("max_file_bytes", size_text(settings.FILES_MAX_BYTES)),
            ("max_stored_bytes", size_text(settings.FILES_MAX_STORED_BYTES)),
            ("max_files", f"{settings.FILES_MAX_COUNT:,}"),
            (
                "max_dataset_files",
                f"{settings.FILES_MAX_DATASET_FILES:,}; a file in several datasets counts once for each",
            ),
            ("max_datasets", f"{settings.FILES_MAX_DATASETS:,}"),
        ):
            if field in self.fields:
                self.fields[field].help_text = f"Empty: the installation's limit, {limit}."

    def _entries(self, capability: str, selected: str, empty_label: str) -> list[tuple[str, str]]:
        names: list[str] = []
        if not self.instance._state.adding:  # noqa: SLF001 - Django's documented flag
            # A relation of a higher app, listed in tests/test_house.py.
            capable = self.instance.targets.filter(catalogentry__capabilities__contains=[capability])
            names += capable.values_list("name", flat=True)
        if selected and selected not in names:
            names.append(selected)
        return [("", empty_label), *((name, name) for name in names)]


def _count(relation: str, condition: Q | None = None) -> Subquery:
    """Count related rows in a subquery."""
    tenant = Tenant.objects.filter(pk=OuterRef("pk")).order_by()
    return Subquery(
        tenant.annotate(n=Count(relation, filter=condition)).values("n"), output_field=IntegerField()
    )


@admin.register(Tenant)
class TenantAdmin(DetailAdmin[Tenant]):
    form = TenantForm
    list_display = ("heading", "state", "host_list", "active_keys", "agents", "entries", "created_at")
    list_filter = (("active", BooleanRadioFilter),)
    search_fields = ("name", "slug", "hosts")
    search_help_text = "Name, slug or host"
    empty_text = (
        "A tenant is an isolated customer of the gateway, with its own providers, models, keys and data."
    )
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("created_at",)
    change_form_before_template = "admin/tenants/tenant/summary.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        active = Q(keys__revoked_at=None) & (
            Q(keys__expires_at=None) | Q(keys__expires_at__gt=timezone.now())
        )
        return (
            super()
            .get_queryset(request)
            .annotate(
                key_count=_count("keys", active),
                agent_count=_count("targets__agent"),
                entry_count=_count("targets__catalogentry"),
            )
        )

    def get_fieldsets(self, request: HttpRequest, obj: Tenant | None = None) -> Any:
        sections = by_section(Tenant.SETTINGS)
        name, *general = sections.pop("")
        created = ("created_at",) if obj else ()
        return [
            (None, {"fields": (name, "slug", *general, *created)}),
            *((section, {"fields": fields}) for section, fields in sections.items()),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Tenant | None = None) -> Any:
        # Configuration files identify the tenant by its slug.
        return ("slug", *self.readonly_fields) if obj else self.readonly_fields

    def get_prepopulated_fields(self, request: HttpRequest, obj: Tenant | None = None) -> Any:
        return {} if obj else self.prepopulated_fields

    def get_form(
        self, request: HttpRequest, obj: Tenant | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if obj and "active" in form.base_fields:
            active = InferenceKey.objects.filter(tenant=obj).live().count()
            form.base_fields["active"].help_text = (
                f"Off: within a second, every request with the tenant's keys is refused "
                f"({pluralize(active, 'active key')}). Nothing is deleted; turn it on to accept the keys again."
            )
        return form

    def detail_context(self, request: HttpRequest, tenant: Tenant) -> dict[str, Any]:
        return {"base_urls": base_urls(tenant, request)}

    @display(description="Tenant", ordering="name", header=True)
    def heading(self, tenant: Tenant) -> list[str]:
        return [tenant.name, tenant.slug]

    @display(description="State", ordering="active")
    def state(self, tenant: Tenant) -> str:
        return badge("active", "success") if tenant.active else badge("off", "danger")

    @display(description="Hosts", empty_value="any host")
    def host_list(self, tenant: Tenant) -> str | None:
        if len(tenant.hosts) > 2:
            return f"{tenant.hosts[0]} and {len(tenant.hosts) - 1} more"
        return ", ".join(tenant.hosts) or None

    @display(description="Active keys", ordering="key_count")
    def active_keys(self, tenant: Any) -> int:
        count: int = tenant.key_count
        return count

    @display(description="Agents", ordering="agent_count")
    def agents(self, tenant: Any) -> int:
        count: int = tenant.agent_count
        return count

    @display(description="Catalog entries", ordering="entry_count")
    def entries(self, tenant: Any) -> int:
        count: int = tenant.entry_count
        return count
