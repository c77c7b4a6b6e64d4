"""Datasets: what they are called, how they are searched, and who may use them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.widgets import UnfoldAdminSelectWidget

from files.models import Dataset, DatasetGrant
from tenants.admin.base import TenantForm, TenantOwnedAdmin
from tenants.admin.typed import display
from tenants.admin.widgets import CheckRows
from tenants.models import InferenceKey


class DatasetForm(TenantForm[Dataset]):
    embedding = forms.ChoiceField(
        required=False,
        widget=UnfoldAdminSelectWidget,
        label="Searched by",
        help_text="A catalog entry that can embed makes the search understand meaning; without one it finds words.",
    )
    keys = forms.ModelMultipleChoiceField(
        InferenceKey.objects.none(),
        required=False,
        widget=CheckRows(empty="This tenant has no live key."),
        label="Keys",
        help_text="Keys that may use the dataset by themselves. Agents need no grant.",
    )

    class Meta:
        model = Dataset
        fields = ("name", "embedding")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "embedding" not in self.fields:
            return
        # The catalog is of an app above this one: it is reached by name, as the dataset itself does.
        can_embed = self.tenant.targets.filter(catalogentry__capabilities__contains=["embed"])
        names = list(can_embed.values_list("name", flat=True))
        if self.instance.embedding and self.instance.embedding not in names:
            names.append(self.instance.embedding)
        embedding: Any = self.fields["embedding"]
        embedding.choices = [("", "Words alone"), *((name, name) for name in names)]
        keys: Any = self.fields["keys"]
        keys.queryset = InferenceKey.objects.filter(tenant=self.tenant).live()
        if not self.instance._state.adding:  # noqa: SLF001 - Django's documented flag
            self.initial["keys"] = list(self.instance.grants.values_list("key_id", flat=True))

    def save_grants(self, dataset: Dataset) -> None:
        """Make the grants those of the form; those of keys that are not live stay as they are."""
        chosen = {key.pk for key in self.cleaned_data["keys"]}
        offered: Any = self.fields["keys"]
        held = set(dataset.grants.filter(key__in=offered.queryset).values_list("key_id", flat=True))
        dataset.grants.filter(key_id__in=held - chosen).delete()
        DatasetGrant.objects.bulk_create(
            DatasetGrant(key_id=pk, dataset=dataset) for pk in sorted(chosen - held)
        )


@admin.register(Dataset)
class DatasetAdmin(TenantOwnedAdmin[Dataset]):
    form = DatasetForm
    list_display = ("heading", "tenant", "search", "key_count", "agent_count", "created_at")
    list_filter = (("tenant", RelatedDropdownFilter),)
    search_fields = ("name", "=id")
    search_help_text = "Name or id"
    readonly_fields = ("id", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dataset]:
        one = Dataset.objects.filter(pk=OuterRef("pk")).order_by()
        counted = {
            f"{relation}_n": Subquery(
                one.annotate(n=Count(relation)).values("n"), output_field=IntegerField()
            )
            for relation in ("grants", "agents")
        }
        return super().get_queryset(request).annotate(**counted)

    def get_fieldsets(self, request: HttpRequest, obj: Dataset | None = None) -> Any:
        facts = ("id", "created_at") if obj else ()
        fields: list[Any] = [(None, {"fields": ("tenant", "name", "embedding", *facts)})]
        if obj is None or self.has_change_permission(request, obj):
            fields.append(("Who may use it", {"fields": ("keys",)}))
        return fields

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        form.save_grants(form.instance)

    @display(description="Dataset", ordering="name", header=True)
    def heading(self, dataset: Dataset) -> list[str]:
        return [dataset.name, dataset.pk]

    @display(description="Searched by", ordering="embedding")
    def search(self, dataset: Dataset) -> str:
        return dataset.embedding or "words alone"

    @display(description="Keys", ordering="grants_n")
    def key_count(self, dataset: Any) -> int:
        count: int = dataset.grants_n
        return count

    @display(description="Agents", ordering="agents_n")
    def agent_count(self, dataset: Any) -> int:
        count: int = dataset.agents_n
        return count
