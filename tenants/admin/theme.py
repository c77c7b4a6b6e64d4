"""Typed wrappers of the parts of the admin theme (django-unfold) that are used; the theme has no types."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from unfold import decorators
from unfold.enums import ActionVariant

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.forms import ModelForm
else:
    from django.forms import ModelForm as DjangoModelForm
    from unfold.admin import ModelAdmin as UnfoldModelAdmin

    class ModelForm(DjangoModelForm):
        """Django's class, which accepts a type parameter at run time."""

        def __class_getitem__(cls, model: Any) -> type:
            return cls

    class ModelAdmin(UnfoldModelAdmin):
        """The theme's class, which accepts a type parameter at run time."""

        def __class_getitem__(cls, model: Any) -> type:
            return cls


F = TypeVar("F", bound=Callable[..., Any])
#: Badge variants by text.
Badges = Mapping[str, str]


def display(
    *,
    description: str | None = None,
    ordering: Any = None,
    boolean: bool | None = None,
    label: bool | Badges | None = None,
    header: bool | None = None,
    empty_value: str | None = None,
) -> Callable[[F], F]:
    """Describe a column; ``label`` renders its text as a badge, ``header`` renders a list of two lines."""
    decorate: Callable[[F], F] = decorators.display(
        description=description,
        ordering=ordering,
        boolean=boolean,
        label=label,
        header=header,
        empty_value=empty_value,
    )
    return decorate


def page_action(
    *,
    description: str,
    url_path: str,
    icon: str,
    permissions: Iterable[str],
    variant: ActionVariant = ActionVariant.DEFAULT,
) -> Callable[[F], F]:
    """Turn a method into a page ``<id>/<url_path>/`` of an object, with a button on the object's change page."""
    decorate: Callable[[F], F] = decorators.action(
        description=description,
        url_path=url_path,
        icon=icon,
        permissions=list(permissions),
        variant=variant,
    )
    return decorate


__all__ = ["ActionVariant", "ModelAdmin", "ModelForm", "display", "page_action"]
