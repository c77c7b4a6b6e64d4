"""The form of a provider. Credentials are write-only: neither their values nor parts of them are rendered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from unfold.widgets import (
    CHECKBOX_CLASSES,
    INPUT_CLASSES,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldBooleanWidget,
)

from inference.models import HEADER_NAME, Provider
from inference.models.providers import CREDENTIALS
from inference.providers import ADAPTERS
from tenants.admin.base import TenantOwnedForm

#: Rows for new headers that also work without JavaScript.
BLANK_ROWS = 1


def kinds() -> list[tuple[str, str]]:
    """Return the kinds of provider and their labels."""
    return [(kind, adapter.label) for kind, adapter in ADAPTERS.items()]


@dataclass(frozen=True, slots=True)
class HeaderRow:
    """A submitted row: a header's name, its new value (empty: keep the stored one), and whether to remove it."""

    name: str
    value: str
    remove: bool


class HeadersWidget(forms.Widget):
    """A table of headers: stored names, and an empty input for each value."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: list[str] = []

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        # Values that were just submitted are not rendered either; names are.
        typed = [
            row.name for row in value or [] if isinstance(row, HeaderRow) and row.name not in self.stored
        ]
        context = {
            "name": name,
            "stored": self.stored,
            "typed": [typed_name for typed_name in typed if typed_name],
            "blank": range(BLANK_ROWS),
            "classes": " ".join(INPUT_CLASSES),
            "box_classes": " ".join(CHECKBOX_CLASSES),
        }
        return mark_safe(render_to_string("admin/inference/provider/headers.html", context))  # noqa: S308

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[HeaderRow]:
        names = [part.strip() for part in data.getlist(f"{name}-name")]
        values = data.getlist(f"{name}-value")
        removed = set(data.getlist(f"{name}-remove"))
        return [
            HeaderRow(header, value, header in removed)
            for header, value in zip(names, values, strict=False)
            if header or value
        ]

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return f"{name}-name" not in data

    def id_for_label(self, id_: str) -> str:
        return ""


class HeadersField(forms.Field):
    """Rows of headers. ``merge`` combines them with the stored headers."""

    widget = HeadersWidget

    def clean(self, value: list[HeaderRow]) -> list[HeaderRow]:
        seen: set[str] = set()
        for row in value:
            if not row.name:
                raise ValidationError("A header has no name. Enter its name, and its value again.")
            HEADER_NAME(row.name)
            if row.name.lower() in seen:
                raise ValidationError(f"{row.name} occurs twice.")
            seen.add(row.name.lower())
        return value

    def has_changed(self, initial: Any, data: Any) -> bool:
        widget: Any = self.widget
        return any(row.value or row.remove or row.name not in widget.stored for row in data)

    @staticmethod
    def merge(stored: Mapping[str, str], rows: list[HeaderRow]) -> dict[str, str]:
        """Return the headers after a change.

        Raises:
            ValidationError: a new header has no value.
        """
        headers = dict(stored)
        for row in rows:
            if row.remove:
                headers.pop(row.name, None)
            elif row.value:
                headers[row.name] = row.value
            elif row.name not in headers:
                raise ValidationError(
                    f"{row.name} has no value. Values are never shown again: enter it again."
                )
        return headers


class ProviderForm(TenantOwnedForm[Provider]):
    """A provider with write-only credentials. The kinds are those that have an adapter."""

    kind = forms.ChoiceField(choices=kinds, widget=UnfoldAdminSelectWidget)
    new_api_key = forms.CharField(
        required=False,
        strip=True,
        max_length=10_000,
        label="API key",
        widget=UnfoldAdminPasswordWidget({"autocomplete": "new-password"}),
        help_text="Sent as a bearer token. Stored encrypted, never shown again.",
    )
    remove_api_key = forms.BooleanField(
        required=False, label="Remove the stored API key", widget=UnfoldBooleanWidget
    )
    new_headers = HeadersField(
        required=False,
        label="Extra headers",
        help_text="Sent with every request. Their values are stored encrypted, never shown again.",
    )

    class Meta:
        model = Provider
        # Stored secrets never get into a form.
        fields = ("name", *(s.field for s in Provider.SETTINGS if s.section != CREDENTIALS))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "new_api_key" not in self.fields:
            # Users who may only view the provider get a form without fields.
            return
        if self.instance.api_key:
            self.fields["new_api_key"].widget.attrs["placeholder"] = "stored, leave empty to keep"
        else:
            self.fields["new_api_key"].widget.attrs["placeholder"] = "none stored"
            del self.fields["remove_api_key"]
        widget: Any = self.fields["new_headers"].widget
        widget.stored = sorted(self.instance.headers)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        new, remove = cleaned.get("new_api_key"), cleaned.get("remove_api_key")
        if new and remove:
            self.add_error("new_api_key", "Either enter a new API key or remove the stored one.")
        elif new:
            self.instance.api_key = new
        elif remove:
            self.instance.api_key = ""
        try:
            self.instance.headers = HeadersField.merge(self.instance.headers, cleaned.get("new_headers", []))
        except ValidationError as error:
            self.add_error("new_headers", error)
        return cleaned

    def _update_errors(self, errors: ValidationError) -> None:
        # The model's errors name its fields; the form has write-only fields in their place.
        if hasattr(errors, "error_dict"):
            for field in ("api_key", "headers"):
                if field in errors.error_dict:
                    errors.error_dict[f"new_{field}"] = errors.error_dict.pop(field)
        super()._update_errors(errors)  # type: ignore[misc]
