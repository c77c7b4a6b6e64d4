"""Multipart parsing: request bodies are parsed as they arrive, and their files are written to disk."""

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

#: Prefix of the temporary folders that hold the files of a request.
PREFIX = "gtapi-upload-"
MAX_FIELDS = 200
#: Bytes of all text fields together, which are held in memory. Fields may contain voice samples.
MAX_TEXT_BYTES = 16 * 1024 * 1024
MAX_PART_HEADER_BYTES = 8 * 1024
#: Bytes of a body in addition to its file, if the file has its own limit.
MAX_OVERHEAD_BYTES = 1024 * 1024


@dataclass(slots=True)
class UploadedFile:
    """An uploaded file. ``filename`` comes from the client and is never used in a path."""

    field: str
    filename: str
    content_type: str
    path: Path
    size: int = 0


@dataclass(slots=True)
class MultipartForm:
    """The fields and files of a multipart body, in order. A name may occur more than once."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    files: list[UploadedFile] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """Return the last value of a field, named ``name`` or ``name[]``."""
        return self.values().get(name)

    def integer(self, name: str, least: int, most: int) -> int | None:
        """Return an integer field, or None if it is absent or empty.

        Raises:
            BadRequest: it is not an integer, or out of range.
        """
        value = self.get(name)
        if not value:
            return None
        try:
            number = int(value)
        except ValueError:
            raise invalid(name, "expected an integer") from None
        integer(least, most)(name, number)
        return number

    def values(self) -> dict[str, str]:
        """Return the fields by name; the last value of a repeated field wins."""
        return {name.removesuffix("[]"): value for name, value in self.fields}

    def names(self) -> set[str]:
        """Return the names of all fields and files, without brackets."""
        return {name.partition("[")[0] for name in (*dict(self.fields), *(file.field for file in self.files))}

    def files_of(self, name: str) -> list[UploadedFile]:
        """Return the files of a field, named ``name`` or ``name[]``."""
        return [file for file in self.files if file.field.removesuffix("[]") == name]


class _PartCollector:
    """Receives the parser's callbacks. Data in ``pending`` is written to disk between two reads."""

    def __init__(self, folder: Path, file_limit: int | None) -> None:
        self.form = MultipartForm()
        self._file_limit = file_limit
        #: Data to append to files, in order; None closes a file.
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
            raise BadRequest(f"A multipart body can have at most {MAX_FIELDS} fields.", code="invalid_form")
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
            raise BadRequest("The headers of a multipart part are too large.", code="invalid_form")

    def on_header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def on_headers_finished(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._name = options.get(b"name", b"").decode(errors="replace")
        if kind != b"form-data" or not self._name:
            raise BadRequest("A multipart part has no name.", code="invalid_form")
        if not self._name.isprintable():
            # It could not be forwarded: headers must not contain control characters.
            raise BadRequest(
                "The name of a multipart part contains unprintable characters.", code="invalid_form"
            )
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
            raise RequestTooLarge(MAX_TEXT_BYTES, "The total size of the text fields")
        self._data += data[start:end]

    def on_part_end(self) -> None:
        if self._writer is not None:
            self.pending.append((self._writer, None))
            self._writer = None
            return
        try:
            value = self._data.decode()
        except UnicodeDecodeError:
            raise BadRequest(f"Field '{self._name}' is not valid UTF-8.", param=self._name) from None
        if "\0" in value:
            raise BadRequest("The request contains a NUL character.", param=self._name)
        self.form.fields.append((self._name, value))

    def on_end(self) -> None:
        self.ended = True

    def write(self) -> None:
        """Write the pending data to disk."""
        for writer, data in self.pending:
            if data is None:
                writer.close()
            else:
                writer.write(data)
        self.pending.clear()

    def close(self) -> None:
        """Close files that an interrupted request left open."""
        for writer, _ in self.pending:
            writer.close()
        if self._writer is not None:
            self._writer.close()


@asynccontextmanager
async def multipart_form(
    request: APIRequest, *, file_limit: int | None = None
) -> AsyncIterator[MultipartForm]:
    """Parse the multipart body of a request; its files are deleted when the context ends.

    A ``file_limit`` (bytes) applies to each file and replaces ``MAX_UPLOAD_BYTES``, which limits the whole body.

    Raises:
        UnsupportedMediaType: the body is not multipart form data.
        RequestTooLarge: the body exceeds ``MAX_UPLOAD_BYTES``, its text fields ``MAX_TEXT_BYTES``, or a file
            ``file_limit``.
        RequestTimeout: the body does not arrive in time.
        StorageUnavailable: the disk is full or cannot be written.
        BadRequest: the body is malformed, or has too many fields.
        ClientDisconnected: the client closed its connection.
    """
    kind, options = parse_options_header(request.header(b"content-type"))
    if kind != b"multipart/form-data":
        raise UnsupportedMediaType("Unsupported content type. Send the body as 'multipart/form-data'.")
    if not options.get(b"boundary"):
        raise BadRequest("The 'Content-Type' header has no multipart boundary.", code="invalid_form")
    with _folder() as folder:
        collector = _PartCollector(folder, file_limit)
        try:
            await _receive(request, collector, options[b"boundary"], file_limit)
        except OSError as error:
            raise _storage_unavailable(error) from error
        finally:
            with suppress(OSError):
                collector.close()
        request.cancel_on_disconnect()
        yield collector.form


@contextmanager
def _folder() -> Iterator[Path]:
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_directory(PREFIX))
        except OSError as error:
            raise _storage_unavailable(error) from error
        yield folder


def _storage_unavailable(error: OSError) -> StorageUnavailable:
    logger.error("an upload cannot be stored: %s", error)
    return StorageUnavailable("The upload could not be stored. Please try again.", error)


async def _receive(
    request: APIRequest, collector: _PartCollector, boundary: bytes, file_limit: int | None
) -> None:
    limit = settings.MAX_UPLOAD_BYTES if file_limit is None else file_limit + MAX_OVERHEAD_BYTES
    loop = asyncio.get_running_loop()
    names = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end")
    callbacks = {
        f"on_{name}": getattr(collector, f"on_{name}") for name in (*names, "headers_finished", "end")
    }
    try:
        parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        async for part in request.iter_body(limit):
            parser.write(part)
            if collector.pending:
                await loop.run_in_executor(None, collector.write)
    except FormParserError:
        raise BadRequest(
            "We could not parse the multipart body of your request.", code="invalid_form"
        ) from None
    if not collector.ended:
        raise BadRequest("The multipart body is incomplete.", code="invalid_form")
