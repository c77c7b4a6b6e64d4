"""Answers that come packed, although they were asked for as they are."""

import zlib
from collections.abc import Callable

from gtapi.errors import UpstreamFailed

#: Largest size that the bytes of one read may have unpacked: beyond it they are made to fill the memory.
MAX_UNPACKED_BYTES = 32 * 1024 * 1024
AS_IT_IS = ("", "identity")
KNOWN = ("gzip", "x-gzip", "deflate")

Unpack = Callable[[bytes], bytes]


def unpacker(encoding: str) -> Unpack | None:
    """Return what unpacks the pieces of an answer in their order; None where nothing is packed.

    Args:
        encoding: the header ``Content-Encoding``.

    Raises:
        UpstreamFailed: nobody here knows the encoding. What is returned raises it for pieces that are none, and
            for those that are too large unpacked.
    """
    encoding = encoding.strip().lower()
    if encoding in AS_IT_IS:
        return None
    if encoding not in KNOWN:
        raise UpstreamFailed(detail=f"the answer is packed as {encoding[:40]}")
    # Tells gzip from zlib by the first bytes.
    stream = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def unpack(piece: bytes) -> bytes:
        try:
            unpacked = stream.decompress(piece, MAX_UNPACKED_BYTES)
        except zlib.error:
            raise UpstreamFailed(detail=f"the answer is not the {encoding} that it says it is") from None
        if stream.unconsumed_tail:
            raise UpstreamFailed(detail="the answer unpacks to more than there is room for")
        return unpacked

    return unpack
