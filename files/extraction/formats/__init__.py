"""Registry of extractors: which module reads which format.

An extractor is a module with a function ``sections(path, name)``. It gets a file and the name of its format, and
yields sections, omissions, and ``StartOCR`` before it starts OCR. It runs in the extraction process, whose limits
it can ignore.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

from files.extraction.sections import Omission, Section, StartOCR

Extractor = Callable[[Path, str], Iterable[Section | Omission | StartOCR]]

#: Names of formats as detection returns them, and the module that reads each, imported on demand.
FORMATS = {
    "csv": "csv_table",
    "docx": "office",
    "email": "mail",
    "epub": "office",
    "html": "html",
    "image": "image",
    "json": "json_values",
    "markdown": "markdown",
    "notebook": "office",
    "odt": "office",
    "pdf": "pdf",
    "pptx": "slides",
    "rst": "office",
    "rtf": "office",
    "text": "text",
    "xlsx": "office",
}


def extractor(name: str) -> Extractor:
    """Return the function that extracts a format's sections."""
    sections: Extractor = import_module(f"{__name__}.{FORMATS[name]}").sections
    return sections
