"""Extractors: a module for each format, or for several.

An extractor is a module with a function ``sections(path, name)``. It gets a file and the name of its format, and
yields sections, omissions, and ``StartOCR`` before it starts OCR. It runs in the extraction process, whose limits
it can ignore.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

from files.extraction.sections import Omission, Section, StartOCR

Extractor = Callable[[Path, str], Iterable[Section | Omission | StartOCR]]

#: Formats, as detection names them, whose module has another name.
MODULES = {
    "csv": "csv_table",
    "docx": "office",
    "email": "mail",
    "epub": "office",
    "json": "json_values",
    "notebook": "office",
    "odt": "office",
    "pptx": "slides",
    "rst": "office",
    "rtf": "office",
    "xlsx": "office",
}


def extractor(name: str) -> Extractor:
    """Return the function that extracts a format's sections; its module is imported on demand."""
    sections: Extractor = import_module(f"{__name__}.{MODULES.get(name, name)}").sections
    return sections
