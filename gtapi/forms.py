"""Forms with uploads: parsed as they come, the files straight to the disk, never whole in memory."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BufferedWriter
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from gtapi.errors import BadRequest, UnsupportedMediaType
from gtapi.request import APIRequest

MAX_FIELDS = 200
MAX_FIELD_BYTES = 1024 * 1024
MAX_PART_HEADER_BYTES = 8 * 1024


@dataclass(slots=True)
class UploadedFile:
    """A file of a form. ``filename`` is what the client said and never part of a path."""

    field: str
    filename: str
    content_type: str
    path: Path
    size: int = 0


@dataclass(slots=True)
class ReceivedForm:
    """The fields of a form in their order, and its files. A name may come more than once."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    files: list[UploadedFile] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """Return the last value of a field, under its name or its name with ``[]``."""
        found = None
        for other, value in self.fields:
            if other.removesuffix("[]") == name:
                found = value
        return found

    def files_of(self, name: str) -> list[UploadedFile]:
        """Return the files of a field, under its name or its name with ``[]``."""
        return [file for file in self.files if file.field.removesuffix("[]") == name]


class _Receiver:
    """Gets the parser's calls; what they leave in ``pending`` is written to the disk between two reads."""

    def __init__(self, folder: Path) -> None:
        self.form = ReceivedForm()
        self.pending: list[tuple[BufferedWriter, bytes]] = []
        self.ended = False
        self._folder = folder
        self._header = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._data = bytearray()
        self._file: UploadedFile | None = None
        self._writer: BufferedWriter | None = None
        self.writers: list[BufferedWriter] = []

    def on_part_begin(self) -> None:
        if len(self.form.fields) + len(self.form.files) >= MAX_FIELDS:
            raise BadRequest(f"A form has at most {MAX_FIELDS} fields.")
        self._headers, self._data, self._file, self._writer = {}, bytearray(), None, None

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._limit_header()

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._limit_header()

    def _limit_header(self) -> None:
        if len(self._header) + len(self._value) > MAX_PART_HEADER_BYTES:
            raise BadRequest("A part of the form has headers that are too large.")

    def on_header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def on_headers_finished(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise BadRequest("A part of the form has no name.")
        self._name = options[b"name"].decode(errors="replace").replace("\0", "")
        if b"filename" in options:
            path = self._folder / secrets.token_hex(16)
            self._file = UploadedFile(
                field=self._name,
                filename=options[b"filename"].decode(errors="replace").replace("\0", ""),
                content_type=self._headers.get(b"content-type", b"").decode("latin1").partition(";")[0],
                path=path,
            )
            self._writer = path.open("wb")
            self.writers.append(self._writer)
            self.form.files.append(self._file)

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None and self._writer is not None:
            self._file.size += end - start
            self.pending.append((self._writer, data[start:end]))
            return
        self._data += data[start:end]
        if len(self._data) > MAX_FIELD_BYTES:
            raise BadRequest(f"A field of a form holds at most {MAX_FIELD_BYTES:,} bytes.", param=self._name)

    def on_part_end(self) -> None:
        if self._file is None:
            try:
                value = self._data.decode()
            except UnicodeDecodeError:
                raise BadRequest(f"The field '{self._name}' is no UTF-8.", param=self._name) from None
            if "\0" in value:
                raise BadRequest("The request contains a NUL character.", param=self._name)
            self.form.fields.append((self._name, value))

    def on_end(self) -> None:
        self.ended = True

    def write(self) -> None:
        """Write what is pending."""
        for writer, data in self.pending:
            writer.write(data)
        self.pending.clear()

    def close(self) -> None:
        for writer in self.writers:
            writer.close()


@asynccontextmanager
async def received_form(request: APIRequest) -> AsyncIterator[ReceivedForm]:
    """Read a form and keep its files for as long as the context lasts.

    Raises:
        UnsupportedMediaType: the body is no form.
        RequestTooLarge: it is larger than ``MAX_UPLOAD_BYTES``.
        BadRequest: it is broken, or has too many fields, or too large ones.
        ClientLeft: the client closed its connection.
    """
    kind, options = parse_options_header(request.header(b"content-type"))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise UnsupportedMediaType("Send the body as a form, with 'Content-Type: multipart/form-data'.")
    with TemporaryDirectory(
        prefix="gtapi-", dir=settings.UPLOAD_TEMP_DIR, ignore_cleanup_errors=True
    ) as folder:
        receiver = _Receiver(Path(folder))
        try:
            await _receive(request, receiver, options[b"boundary"])
        finally:
            receiver.close()
        request.notice_disconnect()
        yield receiver.form


async def _receive(request: APIRequest, receiver: _Receiver, boundary: bytes) -> None:
    loop = asyncio.get_running_loop()
    names = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end")
    callbacks = {
        f"on_{name}": getattr(receiver, f"on_{name}") for name in (*names, "headers_finished", "end")
    }
    try:
        parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        async for part in request.body_parts(settings.MAX_UPLOAD_BYTES):
            parser.write(part)
            if receiver.pending:
                await loop.run_in_executor(None, receiver.write)
    except MultipartParseError:
        raise BadRequest("We could not parse the form of your request.", code="invalid_form") from None
    if not receiver.ended:
        raise BadRequest("The form of your request has no end.", code="invalid_form")
