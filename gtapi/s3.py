"""The Django storage backend for S3 buckets. Requires the packages of ``requirements/production-s3.txt``."""

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
#: Requests per range at most: the rest of a truncated response is requested again.
ATTEMPTS = 3
#: Bytes to read at a time; a read that fails is lost.
_READ_BYTES = 64 * 1024
#: Errors of a truncated response. A timeout is not among them: a retry would block the thread for as long again.
#: Requests without a response are retried by boto3.
_TRUNCATED = (IncompleteReadError, ResponseStreamingError)


class _RangeReader(io.RawIOBase):
    """Reads an S3 object with one request per range, so that no connection is held open between reads.

    ``If-Match`` ensures that all ranges come from the same version of the object.
    """

    def __init__(self, stored: Any) -> None:
        super().__init__()
        self._stored = stored
        # Saved because a ranged request overwrites them.
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
        data = self._read_range(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._read_range(self._size)

    def _read_range(self, limit: int) -> bytes:
        size = min(limit, self._size - self._at)
        if size <= 0:
            return b""
        data = bytearray()
        for _ in range(ATTEMPTS):
            self._fetch(data, size)
            if len(data) >= size:
                break
        if len(data) != size:
            raise OSError(f"received {len(data)} of {size} bytes")
        self._at += size
        return bytes(data)

    def _fetch(self, data: bytearray, size: int) -> None:
        """Append the missing part of ``size`` bytes to ``data``, or as much as the response contains."""
        missing = f"bytes={self._at + len(data)}-{self._at + size - 1}"
        response = self._stored.get(Range=missing, IfMatch=self._etag)
        with closing(response["Body"]) as body:
            try:
                for block in body.iter_chunks(_READ_BYTES):
                    data += block
            except _TRUNCATED as error:
                logger.warning("response for %s was truncated: %s", self._stored.key, type(error).__name__)


class S3FileStorage(S3Storage):  # type: ignore[misc] # the package has no types
    """django-storages' S3 backend with bounded memory and timeouts, compatible with stores other than Amazon S3.

    Files are uploaded in parts, one at a time, and downloaded in ranges of at least a megabyte.
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
                # Many other stores reject the checksums that S3 introduced in 2025.
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
        return File(io.BufferedReader(_RangeReader(opened.obj), MEGABYTE), opened.name)
