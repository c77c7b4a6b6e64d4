"""Files in a store that speaks S3. Needs the packages of ``requirements/production-s3.txt``."""

import io
import logging
from contextlib import closing
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import IncompleteReadError, ResponseStreamingError
from django.core.files import File
from storages.backends.s3 import S3Storage

logger = logging.getLogger(__name__)

MEGABYTE = 1024 * 1024
#: Requests for one range at most: what is missing of an answer that breaks off is asked for by another one.
ATTEMPTS = 3
#: Bytes of an answer that are taken at once, and lost where it breaks off among them.
_PIECE = 64 * 1024
#: How it breaks off. One that falls silent does not: to ask again would hold the thread for as long once more.
#: Requests that get no answer at all are sent again by the library.
_BROKEN_OFF = (IncompleteReadError, ResponseStreamingError)


class _Ranges(io.RawIOBase):
    """An object of a bucket, read by a request for each range: between two of them nothing is held or open.

    All of it is of the object that was there at first: of another one under its name nothing is read.
    """

    def __init__(self, stored: Any) -> None:
        super().__init__()
        self._stored = stored
        # To ask for a range makes it forget both.
        self._size: int = stored.content_length
        self._etag: str = stored.e_tag
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._range(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._range(self._size)

    def _range(self, most: int) -> bytes:
        size = min(most, self._size - self._at)
        if size <= 0:
            return b""
        data = bytearray()
        for _ in range(ATTEMPTS):
            self._fetch(data, size)
            if len(data) >= size:
                break
        if len(data) != size:
            raise OSError(f"{len(data)} bytes came where {size} were asked for")
        self._at += size
        return bytes(data)

    def _fetch(self, data: bytearray, size: int) -> None:
        """Add what is missing of ``size`` bytes, or as much of it as comes."""
        missing = f"bytes={self._at + len(data)}-{self._at + size - 1}"
        answer = self._stored.get(Range=missing, IfMatch=self._etag)
        with closing(answer["Body"]) as body:
            try:
                for piece in body.iter_chunks(_PIECE):
                    data += piece
            except _BROKEN_OFF as error:
                logger.warning("%s broke off: %s", self._stored.key, type(error).__name__)


class Bucket(S3Storage):  # type: ignore[misc] # the package has no types
    """A bucket, with what a gateway needs of it: little memory, bounded waits, and stores besides Amazon's.

    Files go through in parts, one after another, and come back by ranges of a megabyte, or of what is read at once
    where that is more.
    """

    def __init__(self, *, addressing_style: str = "auto", **settings: Any) -> None:
        settings.setdefault(
            "client_config",
            Config(
                connect_timeout=5,
                read_timeout=60,
                retries={"mode": "standard", "total_max_attempts": 3},
                signature_version="s3v4",
                s3={"addressing_style": addressing_style},
                max_pool_connections=20,
                # Checksums that came to S3 in 2025 and that many other stores refuse.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        settings.setdefault(
            "transfer_config",
            TransferConfig(
                multipart_threshold=8 * MEGABYTE, multipart_chunksize=8 * MEGABYTE, use_threads=False
            ),
        )
        settings.setdefault("max_memory_size", MEGABYTE)
        super().__init__(**settings)

    def _open(self, name: str, mode: str = "rb") -> Any:
        opened = super()._open(name, mode)
        if mode != "rb":
            return opened
        return File(io.BufferedReader(_Ranges(opened.obj), MEGABYTE), opened.name)
