"""Forms with files: what comes is written to the disk, and never held whole in memory."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, Any, BinaryIO, cast

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import BadHttpMessage

from local_models.errors import InvalidRequestError
from local_models.fields import MAX_BODY, Body, absent, check_model
from local_models.local_model import LocalModel

CHUNK = 256 * 1024
MAX_PARTS = 64
#: Bytes of a field that is no file.
MAX_FIELD = 256 * 1024
#: How a form writes what JSON has types for.
WORDS: Mapping[str, Any] = {"true": True, "false": False}


@dataclass(slots=True)
class Form:
    """A form that has arrived; ``[]`` at the end of a name is left out.

    Attributes:
        fields: name -> values in their order.
        files: name -> files, each open at its beginning; they are gone when the request is over.
    """

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[BinaryIO]] = field(default_factory=dict)

    def body(self, *, numbers: Collection[str] = (), booleans: Collection[str] = ()) -> Body:
        """Return the last value of each field as JSON would have it.

        A value that is no number or boolean stays a string, so that whoever reads it can refuse it.
        """
        body: dict[str, Any] = {name: values[-1] for name, values in self.fields.items() if values[-1] != ""}
        for name in body.keys() & set(numbers):
            body[name] = _number(body[name])
        for name in body.keys() & set(booleans):
            body[name] = WORDS.get(body[name].lower(), body[name])
        return body

    def file(self, name: str) -> BinaryIO:
        """Return the one file of a field.

        Raises:
            InvalidRequestError: there is none, or more.
        """
        files = self.files.get(name)
        if not files:
            raise absent(name)
        if len(files) > 1:
            raise InvalidRequestError(f"'{name}' has to be one file.", param=name)
        return files[0]


@asynccontextmanager
async def received(request: web.Request, model: LocalModel, *, files: Collection[str]) -> AsyncIterator[Form]:
    """Receive a form for ``model``; ``files`` are the fields that are files.

    Raises:
        InvalidRequestError: it is no form, or names no model.
        UnknownModelError: it names another model.
    """
    if request.content_type != "multipart/form-data":
        raise InvalidRequestError("The body has to be a form (multipart/form-data).", code="invalid_form")
    form = Form()
    with ExitStack() as opened:
        try:
            await _receive(await request.multipart(), form, files, opened)
        except (ValueError, AssertionError, RuntimeError, LookupError, BadHttpMessage) as error:
            raise InvalidRequestError("The form is malformed.", code="invalid_form") from error
        check_model(form.body(), model)
        yield form


async def _receive(reader: MultipartReader, form: Form, files: Collection[str], opened: ExitStack) -> None:
    left = MAX_BODY
    parts = 0
    while (part := await reader.next()) is not None:
        parts += 1
        if parts > MAX_PARTS or not isinstance(part, BodyPartReader):
            raise InvalidRequestError("The form has too many parts.", code="invalid_form")
        name = (part.name or "").removesuffix("[]")
        if name in files:
            # Without a name in any folder, so that nothing is left behind however the process ends.
            file = opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            form.files.setdefault(name, []).append(cast(BinaryIO, file))
            left -= await _spool(part, file, left)
        else:
            value = await _value(part, name)
            left -= len(value)
            form.fields.setdefault(name, []).append(value.decode("utf-8"))


async def _spool(part: BodyPartReader, file: IO[bytes], most: int) -> int:
    """Write a part to ``file``; return its size in bytes."""
    size = 0
    while chunk := await part.read_chunk(CHUNK):
        size += len(chunk)
        if size > most:
            raise web.HTTPRequestEntityTooLarge(max_size=MAX_BODY, actual_size=size)
        await asyncio.to_thread(file.write, chunk)
    file.seek(0)
    return size


async def _value(part: BodyPartReader, name: str) -> bytes:
    value = bytearray()
    while chunk := await part.read_chunk(CHUNK):
        value += chunk
        if len(value) > MAX_FIELD:
            raise InvalidRequestError(f"'{name}' may have at most {MAX_FIELD} bytes.", param=name)
    return bytes(value)


def _number(value: str) -> Any:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
