"""The pages of a TIFF, as a fax or a scanner makes it: the library reads the first alone."""

import struct
from pathlib import Path

#: The beginning of a TIFF in either order of bytes, and how ``struct`` calls that order.
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
#: Pages that are looked for: a file may say that one follows another in a circle.
_MOST = 10_000
_ENTRY = 12


def pages(path: Path) -> list[int]:
    """Return where in the file each page is described, in their order; nothing where it is no TIFF."""
    found: dict[int, None] = {}
    with path.open("rb") as file:
        order = _ORDERS.get(file.read(4))
        if order is None:
            return []
        while len(found) < _MOST:
            said = file.read(4)
            at = struct.unpack(f"{order}I", said)[0] if len(said) == 4 else 0
            if not at or at in found:
                break
            file.seek(at)
            entries = file.read(2)
            if len(entries) < 2:
                break
            found[at] = None
            file.seek(at + 2 + struct.unpack(f"{order}H", entries)[0] * _ENTRY)
    return list(found)


def page(path: Path, at: int) -> bytes:
    """Return a TIFF that begins with the page that is described there."""
    content = path.read_bytes()
    order = _ORDERS[content[:4]]
    return content[:4] + struct.pack(f"{order}I", at) + content[8:]
