"""Forms with uploads: parsed as they come, the files straight to the disk, never whole in memory."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from io import BufferedWriter
from pathlib import Path

from django.conf import settings
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gtapi.errors import BadRequest, RequestTooLarge, StorageUnavailable, UnsupportedMediaType
from gtapi.tempdirs import temporary_directory
from gtapi.validation import integer, invalid
from gtapi.web.request import APIRequest

logger = logging.getLogger(__name__)

#: How the folders are called in which a form's files are kept.
PREFIX = "gtapi-upload-"
MAX_FIELDS = 200
#: Bytes of all fields together. They are kept in memory; among them may be samples of voices.
MAX_TEXT_BYTES = 16 * 1024 * 1024
MAX_PART_HEADER_BYTES = 8 * 1024
#: Bytes of a form beside its file, where the file itself has a limit.
MAX_AROUND_FILE = 1024 * 1024


@dataclass(slots=True)
class UploadedFile:
    """A file of a form. ``filename`` is what the client said and never part of a path."""

    field: str
    filename: str
    content_type: str
    path: Path
    size: int = 0


@dataclass(slots=True)
class MultipartForm:
    """The fields of a form in their order, and its files. A name may come more than once."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    files: list[UploadedFile] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """Return the last value of a field, under its name or its name with ``[]``."""
        return self.values().get(name)

    def integer(self, name: str, least: int, most: int) -> int | None:
        """Return a field that holds an integer in a range; None where it is not there, or empty.

        Raises:
            BadRequest: it holds something else.
        """
        value = self.get(name)
        if not value:
            return None
        try:
            found = int(value)
        except ValueError:
            raise invalid(name, "expected an integer") from None
        integer(least, most)(name, found)
        return found

    def values(self) -> dict[str, str]:
        """Return the fields by name; of several with one name the last."""
        return {name.removesuffix("[]"): value for name, value in self.fields}

    def names(self) -> set[str]:
        """Return the names of all fields and files, as a client thinks of them."""
        return {name.partition("[")[0] for name in (*dict(self.fields), *(file.field for file in self.files))}

    def files_of(self, name: str) -> list[UploadedFile]:
        """Return the files of a field, under its name or its name with ``[]``."""
        return [file for file in self.files if file.field.removesuffix("[]") == name]


class _Receiver:
    """Gets the parser's calls; what they leave in ``pending`` is written to the disk between two reads."""

    def __init__(self, folder: Path, file_limit: int | None) -> None:
        self.form = MultipartForm()
        self._file_limit = file_limit
        #: Pieces of files in their order; None closes one.
        self.pending: list[tuple[BufferedWriter, bytes | None]] = []
        self.ended = False
        self._folder = folder
        self._header = b""
        self._value = b""
        self._header_bytes = 0
        self._text_bytes = 0
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._data = bytearray()
        self._file: UploadedFile | None = None
        self._writer: BufferedWriter | None = None

    def on_part_begin(self) -> None:
        if len(self.form.fields) + len(self.form.files) >= MAX_FIELDS:
            raise BadRequest(f"A form has at most {MAX_FIELDS} fields.", code="invalid_form")
        self._headers, self._data, self._file, self._writer = {}, bytearray(), None, None
        self._header_bytes = 0

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._value += data[start:end]

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_PART_HEADER_BYTES:
            raise BadRequest("A part of the form has headers that are too large.", code="invalid_form")

    def on_header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def on_headers_finished(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._name = options.get(b"name", b"").decode(errors="replace")
        if kind != b"form-data" or not self._name:
            raise BadRequest("A part of the form has no name.", code="invalid_form")
        if not self._name.isprintable():
            # It could not be sent on: no header may hold a control character.
            raise BadRequest("A part of the form has a name that cannot be printed.", code="invalid_form")
        if b"filename" in options:
            self._begin_file(options[b"filename"])

    def _begin_file(self, filename: bytes) -> None:
        path = self._folder / secrets.token_hex(16)
        self._file = UploadedFile(
            field=self._name,
            filename=filename.decode(errors="replace"),
            content_type=self._headers.get(b"content-type", b"").decode("latin1").partition(";")[0].strip(),
            path=path,
        )
        self._writer = path.open("wb")
        self.form.files.append(self._file)

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None and self._writer is not None:
            self._file.size += end - start
            if self._file_limit is not None and self._file.size > self._file_limit:
                raise RequestTooLarge(self._file_limit, "The file")
            self.pending.append((self._writer, data[start:end]))
            return
        self._text_bytes += end - start
        if self._text_bytes > MAX_TEXT_BYTES:
            raise RequestTooLarge(MAX_TEXT_BYTES, "The text in the form")
        self._data += data[start:end]

    def on_part_end(self) -> None:
        if self._writer is not None:
            self.pending.append((self._writer, None))
            self._writer = None
            return
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
            if data is None:
                writer.close()
            else:
                writer.write(data)
        self.pending.clear()

    def close(self) -> None:
        """Close what a request that broke off has left open."""
        for writer, _ in self.pending:
            writer.close()
        if self._writer is not None:
            self._writer.close()


@asynccontextmanager
async def multipart_form(
    request: APIRequest, *, file_limit: int | None = None
) -> AsyncIterator[MultipartForm]:
    """Read a form and keep its files for as long as the context lasts.

    Where there is a ``file_limit``, it holds for each file in place of ``MAX_UPLOAD_BYTES`` for the whole.

    Raises:
        UnsupportedMediaType: the body is no form.
        RequestTooLarge: it is larger than ``MAX_UPLOAD_BYTES``, or its fields are than ``MAX_TEXT_BYTES``, or a
            file is than ``file_limit``.
        RequestTimeout: it does not come in time.
        StorageUnavailable: there is no room for it.
        BadRequest: it is broken, or has too many fields.
        ClientDisconnected: the client closed its connection.
    """
    kind, options = parse_options_header(request.header(b"content-type"))
    if kind != b"multipart/form-data":
        raise UnsupportedMediaType("Send the body as a form, with 'Content-Type: multipart/form-data'.")
    if not options.get(b"boundary"):
        raise BadRequest("The header 'Content-Type' of a form has to name its boundary.", code="invalid_form")
    with _folder() as folder:
        receiver = _Receiver(folder, file_limit)
        try:
            await _receive(request, receiver, options[b"boundary"], file_limit)
        except OSError as error:
            raise _no_room(error) from error
        finally:
            with suppress(OSError):
                receiver.close()
        request.cancel_on_disconnect()
        yield receiver.form


@contextmanager
def _folder() -> Iterator[Path]:
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_directory(PREFIX))
        except OSError as error:
            raise _no_room(error) from error
        yield folder


def _no_room(error: OSError) -> StorageUnavailable:
    logger.error("an upload cannot be kept: %s", error)
    return StorageUnavailable("The upload could not be kept. Please try again.", error)


async def _receive(request: APIRequest, receiver: _Receiver, boundary: bytes, file_limit: int | None) -> None:
    limit = settings.MAX_UPLOAD_BYTES if file_limit is None else file_limit + MAX_AROUND_FILE
    loop = asyncio.get_running_loop()
    names = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end")
    callbacks = {
        f"on_{name}": getattr(receiver, f"on_{name}") for name in (*names, "headers_finished", "end")
    }
    try:
        parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        async for part in request.iter_body(limit):
            parser.write(part)
            if receiver.pending:
                await loop.run_in_executor(None, receiver.write)
    except FormParserError:
        raise BadRequest("We could not parse the form of your request.", code="invalid_form") from None
    if not receiver.ended:
        raise BadRequest("The form of your request has no end.", code="invalid_form")
