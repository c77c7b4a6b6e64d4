"""The form of an API key: its scopes, allowed models and datasets."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from files.models import Dataset, DatasetGrant
from gtapi.text import pluralize
from inference.models import Agent, CatalogEntry, Grant, InferenceTarget
from tenants.admin.base import TenantOwnedForm
from tenants.admin.widgets import CheckRows, RadioRows
from tenants.models import InferenceKey
from tenants.scopes import DEFAULT_PRESET, PRESETS, SCOPES

CUSTOM = "custom"
_GROUPS = {
    "models": "Models",
    "inference": "Models",
    "conversations": "Conversations",
    "files": "Files and datasets",
}


def preset_of(scopes: list[str]) -> str:
    """Return the slug of the preset that has just these scopes, or ``custom``."""
    for preset in PRESETS.values():
        if set(preset.scopes) == set(scopes):
            return preset.slug
    return CUSTOM


def preset_label(scopes: list[str]) -> str:
    slug = preset_of(scopes)
    return PRESETS[slug].label if slug in PRESETS else f"{pluralize(len(scopes), 'scope')} (custom)"


def _scope_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for name in SCOPES:
        group = _GROUPS.get(name.partition(":")[0], "Files and datasets")
        groups.setdefault(group, []).append((name, name))
    return list(groups.items())


def _preset_choices() -> list[tuple[str, str]]:
    return [*((preset.slug, preset.label) for preset in PRESETS.values()), (CUSTOM, "Only the scopes below")]


class KeyForm(TenantOwnedForm[InferenceKey]):
    """Makes or changes a key; it is issued, and its grants are stored, by the admin."""

    unique_fields = frozenset({"tenant", "revoked_at"})

    preset = forms.ChoiceField(
        choices=_preset_choices, initial=DEFAULT_PRESET, widget=RadioRows(), label="Kind of client"
    )
    scopes = forms.MultipleChoiceField(
        choices=_scope_choices,
        required=False,
        widget=CheckRows(columns=2),
        label="Additional scopes",
        help_text="Added to those of the kind of client.",
    )
    allow = forms.ModelMultipleChoiceField(
        InferenceTarget.objects.none(),
        required=False,
        widget=CheckRows(empty="This tenant has no agent and no catalog entry yet."),
        label="Agents and models",
        help_text="Allowed models: the names that the key may call. None selected: it can call nothing.",
    )
    datasets = forms.ModelMultipleChoiceField(
        Dataset.objects.none(),
        required=False,
        widget=CheckRows(empty="This tenant has no dataset yet."),
        label="Datasets",
        help_text="Datasets that the key may use directly. Agents search their datasets without a grant.",
    )

    class Meta:
        model = InferenceKey
        fields = ("name", "expires_at", "scopes")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "preset" not in self.fields:
            # Users who may only view the key get a form without fields.
            return
        self._describe_scopes()
        self._offer_targets()
        self._offer_datasets()
        if not self.instance._state.adding:  # noqa: SLF001 - Django's documented flag
            preset = preset_of(self.instance.scopes)
            self.initial["preset"] = preset
            self.initial["scopes"] = self.instance.scopes if preset == CUSTOM else []
            self.initial["allow"] = list(self.instance.grants.values_list("target_id", flat=True))
            self.initial["datasets"] = list(self.instance.dataset_grants.values_list("dataset_id", flat=True))

    def _describe_scopes(self) -> None:
        self.fields["preset"].widget.descriptions = {
            preset.slug: ", ".join(preset.scopes)
            for preset in PRESETS.values()
            if preset.slug != "everything"
        } | {"everything": "All scopes", CUSTOM: "Only the selected scopes"}
        self.fields["scopes"].widget.descriptions = {
            scope.name: scope.description for scope in SCOPES.values()
        }

    def _offer_targets(self) -> None:
        field: Any = self.fields["allow"]
        field.queryset = InferenceTarget.objects.filter(tenant=self.tenant)
        agents = list(Agent.objects.filter(tenant=self.tenant).select_related("live"))
        entries = list(CatalogEntry.objects.filter(tenant=self.tenant).select_related("provider"))
        groups: dict[str, list[Any]] = {"Agents": agents, "Catalog entries": entries}
        field.choices = [(label, [(t.pk, t.name) for t in rows]) for label, rows in groups.items() if rows]
        field.widget.descriptions = {
            str(agent.pk): f"version {agent.live.number}" if agent.live else "not published"
            for agent in agents
        } | {str(entry.pk): _describe_entry(entry) for entry in entries}

    def _offer_datasets(self) -> None:
        field: Any = self.fields["datasets"]
        field.queryset = Dataset.objects.visible().filter(tenant=self.tenant)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        chosen = set(cleaned.get("scopes", []))
        if preset := PRESETS.get(cleaned.get("preset", "")):
            chosen.update(preset.scopes)
        if not chosen and "preset" in cleaned:
            self.add_error("scopes", "Choose a kind of client, or at least one scope.")
        cleaned["scopes"] = [name for name in SCOPES if name in chosen]
        return cleaned

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at and "expires_at" in self.changed_data and expires_at <= timezone.now():
            raise ValidationError("This time is in the past. To end a key now, revoke it.")
        return expires_at

    @transaction.atomic
    def save_grants(self, key: InferenceKey) -> None:
        """Make the key's grants those of the form."""
        targets = {target.pk for target in self.cleaned_data["allow"]}
        held = set(key.grants.values_list("target_id", flat=True))
        key.grants.exclude(target_id__in=targets).delete()
        Grant.objects.bulk_create(Grant(key=key, target_id=pk) for pk in sorted(targets - held))
        datasets = {dataset.pk for dataset in self.cleaned_data["datasets"]}
        used = set(key.dataset_grants.values_list("dataset_id", flat=True))
        key.dataset_grants.exclude(dataset_id__in=datasets).delete()
        DatasetGrant.objects.bulk_create(
            DatasetGrant(key=key, dataset_id=pk) for pk in sorted(datasets - used)
        )


def _describe_entry(entry: CatalogEntry) -> str:
    shown = ", ".join(entry.capabilities) + f" · {entry.provider.name}"
    return shown if entry.published else f"{shown} · not published"
