"""Decompression of responses whose provider ignores ``Accept-Encoding: identity``."""

import zlib
from collections.abc import Callable

from gtapi.errors import UpstreamFailed

#: Largest size that one read may decompress to, in bytes; more is an attempt to fill the memory.
MAX_DECOMPRESSED_BYTES = 32 * 1024 * 1024
UNCOMPRESSED = ("", "identity")
SUPPORTED = ("gzip", "x-gzip", "deflate")

Decompress = Callable[[bytes], bytes]


def decompressor(encoding: str) -> Decompress | None:
    """Return a function that decompresses a response read by read, or None for an uncompressed one.

    Args:
        encoding: the header ``Content-Encoding``.

    Raises:
        UpstreamFailed: the encoding is not supported. The returned function raises it for invalid data, and for
            data that is too large decompressed.
    """
    encoding = encoding.strip().lower()
    if encoding in UNCOMPRESSED:
        return None
    if encoding not in SUPPORTED:
        raise UpstreamFailed(detail=f"the response has the unsupported Content-Encoding {encoding[:40]}")
    # Tells gzip from zlib by the first bytes.
    stream = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def decompress(data: bytes) -> bytes:
        try:
            decompressed = stream.decompress(data, MAX_DECOMPRESSED_BYTES)
        except zlib.error:
            raise UpstreamFailed(detail=f"the response is not valid {encoding}") from None
        if stream.unconsumed_tail:
            raise UpstreamFailed(
                detail=f"the response decompresses to more than {MAX_DECOMPRESSED_BYTES} bytes at once"
            )
        return decompressed

    return decompress
