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
    found: Extractor = import_module(f"{__name__}.{FORMATS[name]}").sections
    return found
