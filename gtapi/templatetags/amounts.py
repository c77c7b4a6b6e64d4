"""Template filters that format numbers, sizes and times."""

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
    """Return an integer with thousands separators: ``1,234,567``."""
    return f"{number:,}"


@register.filter
def size(number: int) -> str:
    """Return a number of bytes with its unit: ``1.4 MB``."""
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
    """Return the time since a moment, in its largest unit: ``3 days ago``."""
    if timezone.now() - moment < timedelta(minutes=1):
        return "just now"
    return f"{timesince(moment, depth=1)} ago"


@register.filter
def ahead(moment: datetime) -> str:
    """Return the time until a moment, in its largest unit: ``in 3 days``."""
    return f"in {timeuntil(moment, depth=1)}"


@register.filter
def kind(filename: str, content_type: str = "") -> str:
    """Return the type of a file for display: its file extension, or else its media type."""
    _, dot, extension = filename.rpartition(".")
    return extension.upper() if dot and extension.isalnum() and len(extension) <= 5 else content_type
