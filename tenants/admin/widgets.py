"""Choices as rows that one can read: a box, a name and a sentence. They work without scripts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.forms import CheckboxSelectMultiple, RadioSelect
from django.forms.widgets import ChoiceWidget
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from unfold.widgets import CHECKBOX_CLASSES, RADIO_CLASSES

#: With more options than this there is a box to filter them.
MANY = 8
TEMPLATE = "admin/gateway/choices.html"


if TYPE_CHECKING:
    _Widget = ChoiceWidget
else:
    _Widget = object


class _Rows(_Widget):
    #: A sentence for each value.
    descriptions: Mapping[str, str] = {}
    #: What is said where there is nothing to choose from.
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
            many=count > MANY and self.columns == 1,
        )
        return context

    def _render(self, template_name: str, context: dict[str, Any], renderer: Any = None) -> SafeString:
        # Forms look for templates in the apps alone; this one is with the admin's others.
        return mark_safe(render_to_string(template_name, context))  # noqa: S308 - a rendered template


class CheckRows(_Rows, CheckboxSelectMultiple):
    """Any number of choices."""

    template_name = TEMPLATE

    def __init__(self, *, empty: str = "", columns: int = 1) -> None:
        super().__init__(attrs={"class": " ".join(CHECKBOX_CLASSES)})
        self.empty = empty
        self.columns = columns


class RadioRows(_Rows, RadioSelect):
    """One choice."""

    template_name = TEMPLATE

    def __init__(self) -> None:
        super().__init__(attrs={"class": " ".join(RADIO_CLASSES)})

    def get_context(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context(*args, **kwargs)
        context["widget"]["many"] = False
        return context
