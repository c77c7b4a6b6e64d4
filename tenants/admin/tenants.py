"""Tenants: who they are, where their clients connect, and what they have."""

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

from gtapi.templatetags.amounts import size as size_text
from tenants.admin.base import DetailAdmin, badge
from tenants.admin.base_urls import base_urls
from tenants.admin.theme import ModelForm, display
from tenants.models import HOST, InferenceKey, Tenant, normalise_host

#: What concerns a tenant's files.
FILES = (
    "embedding", "transcription",
    "max_file_bytes", "max_files", "max_stored_bytes", "max_dataset_files", "max_datasets",
)  # fmt: skip


class HostsField(forms.CharField):
    """Hosts, one a line or separated by commas."""

    widget = UnfoldAdminTextareaWidget({"rows": 3, "placeholder": "ai.example.com"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        text: str = super().clean(value)
        hosts = []
        for typed in text.replace(",", " ").split():
            # A URL would lose all but its scheme where the port is cut off.
            host = typed if "/" in typed else normalise_host(typed)
            HOST(host)
            hosts.append(host)
        return list(dict.fromkeys(hosts))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial or []) != (data or "").replace("\r\n", "\n").strip())


class SizeField(forms.CharField):
    """A number of bytes, typed as people write it: ``25 MB``, ``1.5 GB`` or ``1000000``."""

    units: ClassVar[dict[str, int]] = {
        "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
        "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
    }  # fmt: skip
    written = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?i?b)?", re.IGNORECASE)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, widget=UnfoldAdminTextInputWidget, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Return a size in the largest unit that gives it whole."""
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
        typed = self.written.fullmatch(text.replace(",", ""))
        if typed is None:
            raise forms.ValidationError("Write a size such as 25 MB, 1.5 GB or 1000000.")
        size = Decimal(typed[1]) * self.units[(typed[2] or "").lower()]
        if size > BigIntegerField.MAX_BIGINT:
            raise forms.ValidationError("This is more than can be stored.")
        return int(size)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((self.prepare_value(initial) or "") != (data or "").strip())


class TenantForm(ModelForm[Tenant]):
    embedding = forms.ChoiceField(
        required=False,
        widget=UnfoldAdminSelectWidget,
        label="Embedding",
        help_text="A catalog entry that can embed: for the files of conversations, and for datasets that clients "
        "make without naming one. Without it words alone are searched.",
    )
    transcription = forms.ChoiceField(
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="A catalog entry that turns uploaded recordings into text.",
    )
    max_file_bytes = SizeField(label="Largest file")
    max_stored_bytes = SizeField(label="All files together")
    hosts = HostsField(
        required=False,
        help_text="One a line. The tenant's keys are accepted on these hosts alone; empty: on any host.",
    )

    class Meta:
        model = Tenant
        fields = ("name", "slug", "hosts", "active", *FILES, "record_answers")
        labels = {
            "max_files": "Most files",
            "max_dataset_files": "Most files in datasets",
            "max_datasets": "Most datasets",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field, capability, without in (
            ("embedding", "embed", "Words alone"),
            ("transcription", "transcribe", "The only one that can, if there is one"),
        ):
            if field in self.fields:
                offered: Any = self.fields[field]
                offered.choices = self._entries(capability, getattr(self.instance, field), without)
        for field, most in (
            ("max_file_bytes", size_text(settings.FILES_MAX_BYTES)),
            ("max_stored_bytes", size_text(settings.FILES_MAX_STORED_BYTES)),
            ("max_files", f"{settings.FILES_MAX_COUNT:,}"),
            (
                "max_dataset_files",
                f"{settings.FILES_MAX_DATASET_FILES:,}; one that is in several is counted in each",
            ),
            ("max_datasets", f"{settings.FILES_MAX_DATASETS:,}"),
        ):
            if field in self.fields:
                self.fields[field].help_text = f"Empty: the installation's limit, {most}."

    def _entries(self, capability: str, chosen: str, without: str) -> list[tuple[str, str]]:
        names: list[str] = []
        if not self.instance._state.adding:  # noqa: SLF001 - Django's documented flag
            # The catalog is of an app above this one: it is reached by name.
            able = self.instance.targets.filter(catalogentry__capabilities__contains=[capability])
            names += able.values_list("name", flat=True)
        if chosen and chosen not in names:
            names.append(chosen)
        return [("", without), *((name, name) for name in names)]


def _counted(relation: str, only: Q | None = None) -> Subquery:
    """Count the rows at the other end of a relation, each count in a query of its own."""
    one = Tenant.objects.filter(pk=OuterRef("pk")).order_by()
    return Subquery(one.annotate(n=Count(relation, filter=only)).values("n"), output_field=IntegerField())


@admin.register(Tenant)
class TenantAdmin(DetailAdmin[Tenant]):
    form = TenantForm
    list_display = ("heading", "state", "shown_hosts", "live_keys", "agents", "entries", "created_at")
    list_filter = (("active", BooleanRadioFilter),)
    search_fields = ("name", "slug", "hosts")
    search_help_text = "Name, slug or host"
    empty_text = (
        "A tenant is an organisation whose clients you serve. Providers, models, keys and data belong to one."
    )
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("created_at",)
    change_form_before_template = "admin/tenants/tenant/summary.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        live = Q(keys__revoked_at=None) & (Q(keys__expires_at=None) | Q(keys__expires_at__gt=timezone.now()))
        return (
            super()
            .get_queryset(request)
            .annotate(
                key_count=_counted("keys", live),
                agent_count=_counted("targets__agent"),
                entry_count=_counted("targets__catalogentry"),
            )
        )

    def get_fieldsets(self, request: HttpRequest, obj: Tenant | None = None) -> Any:
        fields = ("name", "slug", "hosts", "active")
        return [
            (None, {"fields": (*fields, "created_at") if obj else fields}),
            ("Files and answers", {"fields": (*FILES, "record_answers")}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Tenant | None = None) -> Any:
        # The slug is what a configuration file knows the tenant by.
        return ("slug", *self.readonly_fields) if obj else self.readonly_fields

    def get_prepopulated_fields(self, request: HttpRequest, obj: Tenant | None = None) -> Any:
        return {} if obj else self.prepopulated_fields

    def get_form(
        self, request: HttpRequest, obj: Tenant | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if obj and "active" in form.base_fields:
            live = InferenceKey.objects.filter(tenant=obj).live().count()
            form.base_fields["active"].help_text = (
                f"Off: within a second every request with one of this tenant's keys is refused ({live} live). "
                "Nothing is deleted, and turning it on again brings everything back."
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
    def shown_hosts(self, tenant: Tenant) -> str | None:
        if len(tenant.hosts) > 2:
            return f"{tenant.hosts[0]} and {len(tenant.hosts) - 1} more"
        return ", ".join(tenant.hosts) or None

    @display(description="Live keys", ordering="key_count")
    def live_keys(self, tenant: Any) -> int:
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
