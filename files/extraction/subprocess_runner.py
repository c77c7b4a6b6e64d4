"""The process that reads a file, as the one who waits for it sees it."""

import contextlib
import dataclasses
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import orjson
from django.conf import settings

from files.extraction.detection import ending_of
from files.extraction.limits import Limits
from files.extraction.sections import MESSAGES, Extracted, ExtractionError, GoesOn, Interrupted, Section

logger = logging.getLogger(__name__)

CODE = Path(__file__).resolve().parent.parent.parent
#: What a process that reads files gets of the environment. Nothing here is a secret.
PASSED_ON = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "TESSDATA_PREFIX", "TZ")
PREFIX = "gtapi-extract-"
#: Seconds beyond the deadline after which a folder of this prefix is nobody's, and between two looks.
_LEFT_BEHIND = 300
_STDERR_KEPT = 8192
#: Seconds between two looks at a process, unless it says something.
_LOOK = 0.2
#: Characters of a sentence for the client.
_SENTENCE = 500
#: By this the system says that a library could not be loaded for want of memory.
_NO_MEMORY = b"cannot allocate memory"
#: The signals of a limit that was reached. Where memory is refused, the library aborts, mostly without a word.
_LIMITS = {-signal.SIGXCPU, -signal.SIGXFSZ, -signal.SIGABRT}


def read(path: Path, filename: str, content_type: str, goes_on: GoesOn) -> Extracted:
    """Return what a process of its own finds in a file. Raises ExtractionError, Interrupted."""
    limits = Limits(
        settings.EXTRACTION_SECONDS,
        settings.EXTRACTION_DEADLINE_SECONDS,
        settings.EXTRACTION_MEMORY_BYTES,
        settings.EXTRACTION_MAX_CHARACTERS,
        recognition=settings.OCR_SECONDS,
    )
    _sweep(settings.EXTRACTION_TEMP_DIR, limits.last_deadline, int(time.monotonic() / _LEFT_BEHIND))
    with (
        tempfile.TemporaryDirectory(
            prefix=PREFIX, dir=settings.EXTRACTION_TEMP_DIR, ignore_cleanup_errors=True
        ) as folder,
        tempfile.TemporaryFile(dir=folder) as answer,
    ):
        asked = {
            "path": str(path.resolve()),
            "folder": folder,
            # The name itself says something about the client, and arguments can be read by everybody.
            "ending": ending_of(filename),
            "content_type": content_type,
            "parent": os.getpid(),
            "began": time.monotonic(),
            "limits": dataclasses.asdict(limits),
        }
        _run(asked, answer, limits, goes_on)
        answer.seek(0)
        return _extracted(answer.read(limits.answer + 1))


def _run(asked: dict[str, Any], answer: IO[bytes], limits: Limits, goes_on: GoesOn) -> None:
    command = [sys.executable, "-m", "files.extraction", orjson.dumps(asked).decode()]
    hears, says = os.pipe()
    with os.fdopen(hears, "rb", buffering=0) as stderr:
        try:
            child = subprocess.Popen(
                command,
                cwd=CODE,
                env=environment(asked["folder"]),
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=says,
                start_new_session=True,
            )
        except OSError:
            logger.exception("No process could be started to read a file")
            raise ExtractionError("extraction_failed", transient=True) from None
        finally:
            os.close(says)
        try:
            _attend(_Child(child, stderr), limits, asked["began"], goes_on)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _attend(child: "_Child", limits: Limits, began: float, goes_on: GoesOn) -> None:
    """Wait for a process. Raises ExtractionError where it does not end in time, or not by itself; Interrupted."""
    deadline, recognises = began + limits.deadline, False
    while (left := deadline - time.monotonic()) > 0:
        status = child.listen(min(left, _LOOK))
        if status is not None:
            _judge(status, child.said)
            return
        if not recognises and limits.recognises(child.pid):
            deadline, recognises = began + limits.last_deadline, True
        if not goes_on(recognises):
            raise Interrupted
    # A file that had its time is at fault itself; one that got none may be read when there is less to do.
    at_fault = _processor_seconds(child.pid) > limits.seconds / 2
    raise ExtractionError("file_too_complex" if at_fault else "extraction_failed", transient=not at_fault)


def environment(folder: str) -> dict[str, str]:
    """Return the environment of a process that reads files, whose folder for files of its own this is."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    threads = {
        "MALLOC_ARENA_MAX": "2",
        "RAYON_NUM_THREADS": "1",
        "TOKIO_WORKER_THREADS": "1",
        "OMP_THREAD_LIMIT": "1",
    }
    return {
        **passed,
        **threads,
        "TMPDIR": folder,
        "HOME": folder,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


class _Child:
    """A process, and the beginning of what it says on its stderr."""

    def __init__(self, process: subprocess.Popen[bytes], stderr: IO[bytes]) -> None:
        self.pid = process.pid
        self.said = b""
        self._process = process
        self._stderr: IO[bytes] | None = stderr
        self._poll = select.poll()
        self._poll.register(stderr, select.POLLIN)

    def listen(self, seconds: float) -> int | None:
        """Wait until it says more or ends, as long at most; return the status that it ended with."""
        if self._stderr is not None:
            more = self._stderr.read(65536) if self._poll.poll(seconds * 1000) else None
            if more != b"":
                self.said = (self.said + (more or b""))[:_STDERR_KEPT]
                return None
            self._stderr = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None


def _judge(status: int, said: bytes) -> None:
    """Raise ExtractionError where a process did not end by itself."""
    if status == 0:
        return
    # Words of the document may be part of what was said, but for an error of the system's, which ends it by itself.
    reason = said.decode(errors="replace").strip().rpartition("\n")[2] if status == 1 else ""
    logger.warning("A process that read a file ended with status %s %s", status, reason)
    if status in _LIMITS or _NO_MEMORY in said:
        raise ExtractionError("file_too_complex")
    raise ExtractionError("extraction_failed", transient=True)


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _extracted(data: bytes) -> Extracted:
    """Return the answer of a process that a document may have got hold of: anything can be in it."""
    try:
        answer = orjson.loads(data)
        if "code" in answer:
            code, message = str(answer["code"]), str(answer["message"])[:_SENTENCE]
            error = ExtractionError(code if code in MESSAGES else "broken_file", message)
        else:
            sections = [_section(*fields) for fields in answer["sections"]]
            return Extracted(sections, str(answer["warning"])[:_SENTENCE])
    except (ValueError, TypeError, KeyError):
        error = ExtractionError("extraction_failed", transient=True)
    raise error


def _section(text: Any, page: Any, heading: Any) -> Section:
    if not isinstance(text, str) or not isinstance(heading, str) or not isinstance(page, int | None):
        raise TypeError
    return Section(text, page, heading)


@lru_cache(maxsize=1)
def _sweep(directory: str | None, deadline: float, when: int) -> None:
    """Remove folders of processes that were killed together with the one that waited for them, once a time."""
    for folder in _folders(Path(directory or tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > deadline + _LEFT_BEHIND:
                shutil.rmtree(folder, ignore_errors=True)


def _folders(directory: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from directory.glob(f"{PREFIX}*")
