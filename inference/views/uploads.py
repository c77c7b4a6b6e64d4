"""The shape that the routes with uploads share: a form in, JSON, text or events out."""

import re
from collections.abc import Collection
from typing import Any

from gtapi.checks import integer, invalid, number
from gtapi.errors import BadRequest
from gtapi.forms import ReceivedForm
from inference.context import ROUTING_FIELDS
from inference.providers.base import Form, Upload
from inference.routing import Target
from inference.views.events import EventsView

JSON = dict[str, Any]
ENDING = re.compile(r"[A-Za-z0-9]{1,10}")
MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}/[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")


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

    def upstream_form(self, target: Target, form: ReceivedForm, **changes: str | None) -> Form:
        """Return the form for the provider: the client's, with the provider's model and with ``changes``.

        A field whose change is None is left out.
        """
        changed = {"model": target.raw_model, **changes}
        kept = [(name, value) for name, value in changed.items() if value is not None]
        kept += [(name, value) for name, value in form.fields if _passes(name, changed)]
        files = [
            # The client's own name for a file may say more than the provider needs to know.
            Upload(file.field, _file_name(file.filename), _media_type(file.content_type), file.path)
            for file in form.files
            if _passes(file.field, changed)
        ]
        return Form(kept, files)


def _passes(name: str, changed: Collection[str]) -> bool:
    base = name.partition("[")[0].casefold()
    return base not in ROUTING_FIELDS and base not in changed


def _file_name(given: str) -> str:
    """Return a name that keeps the ending, by which providers tell the format."""
    ending = given.rpartition(".")[2]
    return f"file.{ending}" if ENDING.fullmatch(ending) and ending != given else "file"


def _media_type(given: str) -> str:
    return given if MEDIA_TYPE.fullmatch(given) else "application/octet-stream"


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
