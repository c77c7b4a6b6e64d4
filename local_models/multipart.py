"""Parses multipart forms; files are spooled to disk."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, Any, BinaryIO, cast

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import BadHttpMessage

from local_models.errors import InvalidRequestError
from local_models.fields import MAX_BODY, Body, check_model, missing_parameter
from local_models.local_model import LocalModel

CHUNK = 256 * 1024
MAX_PARTS = 64
#: Bytes of a field that is not a file.
MAX_FIELD = 256 * 1024
#: Text of booleans in a form.
BOOLEANS: Mapping[str, Any] = {"true": True, "false": False}


@dataclass(slots=True)
class UploadForm:
    """A parsed form; a trailing ``[]`` is removed from names.

    Attributes:
        fields: name -> values in order.
        files: name -> open files, positioned at their beginning and deleted after the request.
    """

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[BinaryIO]] = field(default_factory=dict)

    def body(self, *, numbers: Collection[str] = (), booleans: Collection[str] = ()) -> Body:
        """Return the last value of each field, with numbers and booleans converted as in JSON.

        A value that cannot be converted stays a string, which the field's validation refuses.
        """
        body: dict[str, Any] = {name: values[-1] for name, values in self.fields.items() if values[-1] != ""}
        for name in body.keys() & set(numbers):
            body[name] = _number(body[name])
        for name in body.keys() & set(booleans):
            body[name] = BOOLEANS.get(body[name].lower(), body[name])
        return body

    def file(self, name: str) -> BinaryIO:
        """Return the only file of a field.

        Raises:
            InvalidRequestError: there is not exactly one.
        """
        files = self.files.get(name)
        if not files:
            raise missing_parameter(name)
        if len(files) > 1:
            raise InvalidRequestError(f"'{name}' must be a single file.", param=name)
        return files[0]


@asynccontextmanager
async def receive_form(
    request: web.Request, model: LocalModel, *, files: Collection[str]
) -> AsyncIterator[UploadForm]:
    """Receive a form for ``model``; ``files`` names the fields that are files.

    Raises:
        InvalidRequestError: the body is not a form, or does not name a model.
        UnknownModelError: it names another model.
    """
    if request.content_type != "multipart/form-data":
        raise InvalidRequestError("The body must be multipart/form-data.", code="invalid_form")
    form = UploadForm()
    with ExitStack() as opened:
        try:
            await _receive(await request.multipart(), form, files, opened)
        except (ValueError, AssertionError, RuntimeError, LookupError, BadHttpMessage) as error:
            raise InvalidRequestError(
                "The multipart body is malformed or incomplete.", code="invalid_form"
            ) from error
        check_model(form.body(), model)
        yield form


async def _receive(
    reader: MultipartReader, form: UploadForm, files: Collection[str], opened: ExitStack
) -> None:
    remaining = MAX_BODY
    parts = 0
    while (part := await reader.next()) is not None:
        parts += 1
        if parts > MAX_PARTS or not isinstance(part, BodyPartReader):
            raise InvalidRequestError(f"The form must have at most {MAX_PARTS} parts.", code="invalid_form")
        name = (part.name or "").removesuffix("[]")
        if name in files:
            # An unnamed file, which disappears however the process ends.
            file = opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            form.files.setdefault(name, []).append(cast(BinaryIO, file))
            remaining -= await _spool(part, file, remaining)
        else:
            value = await _value(part, name)
            remaining -= len(value)
            form.fields.setdefault(name, []).append(value.decode("utf-8"))


async def _spool(part: BodyPartReader, file: IO[bytes], limit: int) -> int:
    """Write a part to ``file``; return its size in bytes."""
    size = 0
    while chunk := await part.read_chunk(CHUNK):
        size += len(chunk)
        if size > limit:
            raise web.HTTPRequestEntityTooLarge(max_size=MAX_BODY, actual_size=size)
        await asyncio.to_thread(file.write, chunk)
    file.seek(0)
    return size


async def _value(part: BodyPartReader, name: str) -> bytes:
    value = bytearray()
    while chunk := await part.read_chunk(CHUNK):
        value += chunk
        if len(value) > MAX_FIELD:
            raise InvalidRequestError(f"'{name}' must have at most {MAX_FIELD} bytes.", param=name)
    return bytes(value)


def _number(value: str) -> Any:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
