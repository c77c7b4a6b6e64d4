"""The formats that are read: each a module with a function ``sections(path, name)``.

They get a file and its format's name and give sections, and what they had to leave out, in a process of its own
whose limits are not their concern.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

from files.extraction.sections import Omission, Section

Extractor = Callable[[Path, str], Iterable[Section | Omission]]

#: What detection calls a format, and the module that reads it, imported when a file of it comes.
FORMATS = {
    "csv": "table",
    "docx": "document",
    "email": "mail",
    "epub": "document",
    "html": "html",
    "image": "image",
    "json": "data",
    "markdown": "markdown",
    "notebook": "document",
    "odt": "document",
    "pdf": "pdf",
    "pptx": "slides",
    "rst": "document",
    "rtf": "document",
    "text": "text",
    "xlsx": "document",
}


def extractor(name: str) -> Extractor:
    found: Extractor = import_module(f"{__name__}.{FORMATS[name]}").sections
    return found
