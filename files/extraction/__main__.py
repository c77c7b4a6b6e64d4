"""The child process that extracts one document: ``python -m files.extraction REQUEST``.

REQUEST is JSON with the document's path and the limits; the result is written to stdout as JSON. Nothing here
imports Django, which would take longer than most documents do.
"""

import os
import sys
from pathlib import Path

import orjson

from files.extraction import cleaning
from files.extraction.detection import detect
from files.extraction.formats import extractor
from files.extraction.limits import Limits
from files.extraction.sandbox import confine
from files.extraction.sections import ExtractionError, NeedsOCR, Omission, StartOCR
from gtapi.json_types import JSON
from gtapi.stack.process import die_with_parent


def main() -> None:
    request = orjson.loads(sys.argv[1])
    result_descriptor = _take_stdout()
    limits = Limits(**request["limits"])
    limits.impose(request["started_at"])
    os.chdir(request["folder"])
    confine(Path(request["path"]), Path(request["folder"]))
    die_with_parent()  # after the change of user, which would undo it
    if os.getppid() != request["parent"]:
        return
    with os.fdopen(result_descriptor, "wb") as out:
        out.write(orjson.dumps(_result(request, limits)))


def _take_stdout() -> int:
    """Return a descriptor of stdout, and send everything that libraries print to /dev/null."""
    descriptor = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    return descriptor


def _result(request: JSON, limits: Limits) -> JSON:
    try:
        return _read(request, limits)
    except NeedsOCR:
        return {"needs_ocr": True}
    except ExtractionError as extraction_error:
        error = extraction_error
    except (MemoryError, RecursionError):
        error = ExtractionError("file_too_complex")
    except OSError:
        raise  # the file could not be opened, which is not the document's fault
    except Exception:  # noqa: BLE001 - any exception of a parser is the document's fault
        error = ExtractionError("broken_file")
    except BaseException as unknown:
        # Panics of the Rust library do not derive from Exception.
        if type(unknown).__name__ != "PanicException":
            raise
        error = ExtractionError("broken_file")
    return {"code": error.code, "message": error.message}


def _read(request: JSON, limits: Limits) -> JSON:
    path = Path(request["path"])
    format_name = detect(path, request["suffix"], request["content_type"])
    sections: list[tuple[str, int | None, str]] = []
    warning = ""
    characters_left = limits.characters
    for item in extractor(format_name)(path, format_name):
        if isinstance(item, StartOCR):
            if not request["ocr"]:
                raise NeedsOCR
            continue
        if isinstance(item, Omission):
            warning = item.warning
            continue
        text = cleaning.clean(item.text)
        if text:
            sections.append((text, item.page, cleaning.clean_line(item.heading)))
            characters_left -= len(text)
        if characters_left < 0 or len(sections) > limits.sections:
            raise ExtractionError("file_too_complex", "The file has more text or headings than allowed.")
    if not sections:
        raise ExtractionError("no_text")
    return {"sections": sections, "warning": warning}


if __name__ == "__main__":
    main()
