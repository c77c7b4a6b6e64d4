"""Files in a store that speaks S3. Needs the packages of ``requirements/production-s3.txt``."""

from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from storages.backends.s3 import S3Storage

MEGABYTE = 1024 * 1024


class Bucket(S3Storage):  # type: ignore[misc] # the package has no types
    """A bucket, with what a gateway needs of it: little memory, bounded waits, and stores besides Amazon's.

    Files go through in parts, one after another, and come back over the disk.
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
