"""``python -m files.extraction``: read one file, say what is in it as JSON on stdout, and end.

Its only argument says in JSON which file, and the limits. Nothing here imports Django, which would cost more time
than most files do.
"""

import os
import sys
from pathlib import Path
from typing import Any

import orjson

from files.extraction import cleaning
from files.extraction.detection import detect
from files.extraction.formats import extractor
from files.extraction.limits import Limits
from files.extraction.sandbox import confine
from files.extraction.sections import ExtractionError, Omission
from gtapi.stack.process import die_with_parent


def main() -> None:
    asked = orjson.loads(sys.argv[1])
    answer = _take_stdout()
    limits = Limits(**asked["limits"])
    limits.impose(asked["began"])
    os.chdir(asked["folder"])
    confine(Path(asked["path"]), Path(asked["folder"]))
    die_with_parent()  # after what changes its user, which would undo it
    if os.getppid() != asked["parent"]:
        return
    with os.fdopen(answer, "wb") as out:
        out.write(orjson.dumps(_answer(Path(asked["path"]), asked["ending"], asked["content_type"], limits)))


def _take_stdout() -> int:
    """Return where the answer goes, and have everything else that is printed go nowhere."""
    answer = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answer


def _answer(path: Path, ending: str, content_type: str, limits: Limits) -> dict[str, Any]:
    try:
        found, warning = _read(path, ending, content_type, limits)
    except ExtractionError as error:
        refusal = error
    except (MemoryError, RecursionError):
        refusal = ExtractionError("file_too_complex")
    except OSError:
        raise  # the file could not be opened, which is not its own fault
    except Exception:  # noqa: BLE001 - whatever a parser stumbles over is the file's fault
        refusal = ExtractionError("broken_file")
    except BaseException as error:
        # The library's panics, which are no Exceptions.
        if type(error).__name__ != "PanicException":
            raise
        refusal = ExtractionError("broken_file")
    else:
        return {"sections": found, "warning": warning}
    return {"code": refusal.code, "message": refusal.message}


def _read(
    path: Path, ending: str, content_type: str, limits: Limits
) -> tuple[list[tuple[str, int | None, str]], str]:
    name = detect(path, ending, content_type)
    found: list[tuple[str, int | None, str]] = []
    warning = ""
    room = limits.characters
    for section in extractor(name)(path, name):
        if isinstance(section, Omission):
            warning = section.warning
            continue
        text = cleaning.clean(section.text)
        if text:
            found.append((text, section.page, cleaning.clean_line(section.heading)))
            room -= len(text)
        if room < 0 or len(found) > limits.sections:
            raise ExtractionError(
                "file_too_complex", "The file holds more text or more headings than is allowed."
            )
    if not found:
        raise ExtractionError("no_text")
    return found, warning


if __name__ == "__main__":
    main()
