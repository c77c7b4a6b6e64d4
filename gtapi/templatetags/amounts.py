"""Numbers as people read them."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.timesince import timesince, timeuntil

from gtapi.text import pluralize

register = template.Library()
# Named differently because Django has a filter `pluralize`, which writes the ending alone.
register.filter("quantity", pluralize)


@register.filter
def thousands(number: int) -> str:
    """Return a whole number with commas: ``1,234,567``."""
    return f"{number:,}"


@register.filter
def size(number: int) -> str:
    """Return a number of bytes with a unit: ``1.4 MB``."""
    if number < 1000:
        return pluralize(number, "byte")
    value = float(number)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{value:.1f} {unit}" if value < 99.95 else f"{value:,.0f} {unit}"


@register.filter
def ago(moment: datetime) -> str:
    """Return how long ago something was, in its largest unit: ``3 days ago``."""
    if timezone.now() - moment < timedelta(minutes=1):
        return "just now"
    return f"{timesince(moment, depth=1)} ago"


@register.filter
def ahead(moment: datetime) -> str:
    """Return how far ahead something is, in its largest unit: ``in 3 days``."""
    return f"in {timeuntil(moment, depth=1)}"


@register.filter
def kind(filename: str, content_type: str = "") -> str:
    """Return what kind a file seems to be: the ending of its name, or else its media type."""
    _, dot, ending = filename.rpartition(".")
    return ending.upper() if dot and ending.isalnum() and len(ending) <= 5 else content_type
