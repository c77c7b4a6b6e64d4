"""JSON extractor: one line a value with its path, such as ``users[0].name: Ann``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from files.extraction.formats.text import decode
from files.extraction.sections import ExtractionError, Section


def sections(path: Path, name: str) -> Iterator[Section]:
    text = decode(path.read_bytes())
    try:
        values = _values(text)
        yield Section("\n".join(line for value in values for line in _lines(value, "")))
    except RecursionError:
        raise ExtractionError("file_too_complex", "The JSON is nested too deeply.") from None
    except ValueError:
        raise ExtractionError("broken_file", "The file is not valid JSON.") from None


def _values(text: str) -> list[Any]:
    """Parse a JSON text, or JSON lines."""
    try:
        return [json.loads(text)]
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        return [json.loads(line) for line in lines]


def _lines(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _lines(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _lines(item, f"{path}[{index}]")
    else:
        text = value if isinstance(value, str) else json.dumps(value)
        yield f"{path}: {text}" if path else text
