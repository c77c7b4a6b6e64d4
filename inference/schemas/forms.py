"""Checks of the fields of multipart forms."""

from gtapi.errors import BadRequest
from gtapi.validation import invalid, number
from gtapi.web.multipart import MultipartForm


def require_files(form: MultipartForm, name: str) -> None:
    """Refuse a form without a file under ``name``, or with an empty one."""
    files = form.files_of(name)
    if not files:
        raise BadRequest(
            f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter"
        )
    if any(file.size == 0 for file in files):
        raise invalid(name, "the file is empty")


def boolean_field(form: MultipartForm, name: str) -> bool:
    """Return a boolean field, which is false where it is absent."""
    value = form.get(name)
    if value is None or value.lower() in ("false", "0", ""):
        return False
    if value.lower() in ("true", "1"):
        return True
    raise invalid(name, "expected true or false")


def check_number(form: MultipartForm, name: str, least: float, most: float) -> None:
    """Refuse a field that is not a number in a range."""
    text = form.get(name)
    if text:
        try:
            value = float(text)
        except ValueError:
            raise invalid(name, "expected a number") from None
        number(least, most)(name, value)
