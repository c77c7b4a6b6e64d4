"""The shape that the routes with uploads share: a form in, JSON, text or events out."""

from typing import Any

from gtapi.errors import BadRequest
from gtapi.forms import ReceivedForm
from inference.context import ROUTING_FIELDS
from inference.providers.base import Form, Upload
from inference.routing import Target
from inference.shapes.checks import integer, invalid, number
from inference.views.events import EventsView

JSON = dict[str, Any]


class UploadView(EventsView):
    """A route that takes a form."""

    def need_files(self, form: ReceivedForm, name: str) -> None:
        """Refuse a form without a file under ``name``, or with an empty one."""
        files = form.files_of(name)
        if not files:
            raise BadRequest(
                f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter"
            )
        if any(file.size == 0 for file in files):
            raise invalid(name, "the file is empty")

    def upstream_form(self, target: Target, form: ReceivedForm, **changes: str) -> Form:
        """Return the form for the provider: the client's, with the provider's model and with ``changes``."""
        changed = {"model": target.raw_model, **changes}
        fields = [
            (name, value)
            for name, value in form.fields
            if name.removesuffix("[]") not in ROUTING_FIELDS | changed.keys()
        ]
        files = [
            # The client's own name for a file may say more than the provider needs to know.
            Upload(f.field, _file_name(f.filename), f.content_type or "application/octet-stream", f.path)
            for f in form.files
        ]
        return Form([*changed.items(), *fields], files)


def _file_name(given: str) -> str:
    """Return a name that keeps the ending, by which providers tell the format."""
    stem, dot, ending = given.rpartition(".")
    return f"file.{ending}" if dot and stem and ending.isalnum() and ending.isascii() else "file"


def flag(form: ReceivedForm, name: str) -> bool:
    """Return a boolean field."""
    value = form.get(name)
    if value is None or value.lower() in ("false", "0", ""):
        return False
    if value.lower() in ("true", "1"):
        return True
    raise invalid(name, "expected true or false")


def check_number(form: ReceivedForm, name: str, least: float, most: float) -> None:
    """Check a field for a number in a range."""
    value = form.get(name)
    if value:
        try:
            found = float(value)
        except ValueError:
            raise invalid(name, "expected a number") from None
        number(least, most)(name, found)


def check_integer(form: ReceivedForm, name: str, least: int, most: int) -> None:
    """Check a field for an integer in a range."""
    value = form.get(name)
    if value:
        try:
            found = int(value)
        except ValueError:
            raise invalid(name, "expected an integer") from None
        integer(least, most)(name, found)
