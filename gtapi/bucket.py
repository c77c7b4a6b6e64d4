"""Files in a store that speaks S3. Needs the packages of ``requirements/production-s3.txt``."""

import io
from contextlib import closing
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from django.core.files import File
from storages.backends.s3 import S3Storage

MEGABYTE = 1024 * 1024


class _Ranges(io.RawIOBase):
    """An object of a bucket, read by a request for each range: between two of them nothing is held or open."""

    def __init__(self, stored: Any) -> None:
        super().__init__()
        self._stored = stored
        self._size: int = stored.content_length
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
        answer = self._stored.get(Range=f"bytes={self._at}-{self._at + size - 1}")
        with closing(answer["Body"]) as body:
            data: bytes = body.read()
        if len(data) != size:
            raise OSError(f"{len(data)} bytes came where {size} were asked for")
        self._at += size
        return data


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
