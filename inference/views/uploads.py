"""The shape that the routes with uploads share: a form in, JSON, text or events out."""

from collections.abc import Collection
from typing import Any

from gtapi.errors import BadRequest
from gtapi.validation import invalid, number
from gtapi.web.multipart import MultipartForm
from inference.provider_request import ROUTING_FIELDS, unnamed_upload
from inference.providers.base import Form
from inference.routing import Target
from inference.views.events import EventsView

JSON = dict[str, Any]


class UploadView(EventsView):
    """A route that takes a form."""

    def need_files(self, form: MultipartForm, name: str) -> None:
        """Refuse a form without a file under ``name``, or with an empty one."""
        files = form.files_of(name)
        if not files:
            raise BadRequest(
                f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter"
            )
        if any(file.size == 0 for file in files):
            raise invalid(name, "the file is empty")

    def upstream_form(self, target: Target, form: MultipartForm, **changes: str | None) -> Form:
        """Return the form for the provider: the client's, with the provider's model and with ``changes``.

        A field whose change is None is left out.
        """
        changed = {"model": target.raw_model, **changes}
        kept = [(name, value) for name, value in changed.items() if value is not None]
        kept += [(name, value) for name, value in form.fields if _passes(name, changed)]
        files = [
            unnamed_upload(file.field, file.filename, file.content_type, file.path)
            for file in form.files
            if _passes(file.field, changed)
        ]
        return Form(kept, files)


def _passes(name: str, changed: Collection[str]) -> bool:
    base = name.partition("[")[0].casefold()
    return base not in ROUTING_FIELDS and base not in changed


def flag(form: MultipartForm, name: str) -> bool:
    """Return a boolean field."""
    value = form.get(name)
    if value is None or value.lower() in ("false", "0", ""):
        return False
    if value.lower() in ("true", "1"):
        return True
    raise invalid(name, "expected true or false")


def check_number(form: MultipartForm, name: str, least: float, most: float) -> None:
    """Check a field for a number in a range."""
    value = form.get(name)
    if value:
        try:
            found = float(value)
        except ValueError:
            raise invalid(name, "expected a number") from None
        number(least, most)(name, found)
