"""The state of a file in a dataset, for templates."""

from django import template
from django.utils.safestring import SafeString

from files.models import DatasetFile

register = template.Library()


@register.simple_tag
def state_of(dataset_file: DatasetFile) -> SafeString:
    """Return a file's state as HTML."""
    # The admin's own modules need the template engine to be loaded, which loads this one.
    from files.admin.states import cell

    return cell(dataset_file)
