"""Recognising letters in pictures: the library has the engine, and data for it have to be installed."""

import os
import sys
from pathlib import Path

import kreuzberg

#: Where data are, if TESSDATA_PREFIX does not say it: a package's, or the system's.
PLACES = (
    f"{sys.prefix}/share/tessdata",
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
)
#: Languages that are looked for at once, since each takes its time.
_MOST = 3


def recognition() -> kreuzberg.OcrConfig | None:
    """Return how to read pictures in the languages that are installed; None where none is."""
    for place in (os.environ.get("TESSDATA_PREFIX", ""), *PLACES):
        names = sorted(file.stem for file in Path(place).glob("*.traineddata")) if place else []
        languages = sorted((name for name in names if name != "osd"), key=lambda name: name != "eng")[:_MOST]
        if languages:
            os.environ["TESSDATA_PREFIX"] = place
            return kreuzberg.OcrConfig(backend="tesseract", language="+".join(languages))
    return None
