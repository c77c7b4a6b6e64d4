"""Checkbox and radio widgets that show choices as rows with descriptions. They work without JavaScript."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.forms import CheckboxSelectMultiple, RadioSelect
from django.forms.widgets import ChoiceWidget
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from unfold.widgets import CHECKBOX_CLASSES, RADIO_CLASSES

#: With more options than this, the widget has a filter box.
FILTER_THRESHOLD = 8
TEMPLATE = "admin/gateway/choices.html"


if TYPE_CHECKING:
    _Widget = ChoiceWidget
else:
    _Widget = object


class _Rows(_Widget):
    #: A description for each value.
    descriptions: Mapping[str, str] = {}
    #: The text if there are no choices.
    empty = ""
    columns = 1

    def create_option(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option: dict[str, Any] = super().create_option(*args, **kwargs)
        option["description"] = self.descriptions.get(str(option["value"]), "")
        return option

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        groups = context["widget"]["optgroups"]
        count = sum(len(options) for _, options, _ in groups)
        context["widget"].update(
            empty=self.empty,
            columns=self.columns,
            grouped=any(name for name, _, _ in groups),
            count=count,
            many=count > FILTER_THRESHOLD and self.columns == 1,
        )
        return context

    def _render(self, template_name: str, context: dict[str, Any], renderer: Any = None) -> SafeString:
        # Django renders form widgets only from templates of apps; this one is in the project's templates.
        return mark_safe(render_to_string(template_name, context))  # noqa: S308 - a rendered template


class CheckRows(_Rows, CheckboxSelectMultiple):
    """Checkboxes: any number of choices."""

    template_name = TEMPLATE

    def __init__(self, *, empty: str = "", columns: int = 1) -> None:
        super().__init__(attrs={"class": " ".join(CHECKBOX_CLASSES)})
        self.empty = empty
        self.columns = columns


class RadioRows(_Rows, RadioSelect):
    """Radio buttons: one choice."""

    template_name = TEMPLATE

    def __init__(self) -> None:
        super().__init__(attrs={"class": " ".join(RADIO_CLASSES)})

    def get_context(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context(*args, **kwargs)
        context["widget"]["many"] = False
        return context
