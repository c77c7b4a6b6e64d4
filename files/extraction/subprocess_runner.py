"""Parent side of the extraction process: starts it, enforces its deadline, and validates its result."""

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
from functools import lru_cache
from pathlib import Path
from threading import Event
from typing import IO, Any

import orjson
from django.conf import settings

from files.extraction.detection import suffix_of
from files.extraction.limits import Limits
from files.extraction.sections import MESSAGES, Cancelled, Extracted, ExtractionError, NeedsOCR, Section

logger = logging.getLogger(__name__)

CODE = Path(__file__).resolve().parent.parent.parent
#: Environment variables that an extraction process gets. None of them is a secret.
PASSED_ON = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "TESSDATA_PREFIX", "TZ")
PREFIX = "gtapi-extract-"
#: Seconds beyond the deadline after which a temporary folder is abandoned, and between two sweeps.
_ABANDONED_AFTER = 300
_STDERR_LIMIT = 8192
#: Seconds between two checks of the process, unless it writes something.
_POLL_SECONDS = 0.2
#: Characters of a message for the client.
_MESSAGE_LIMIT = 500
#: How the system reports that a library could not be loaded for lack of memory.
_NO_MEMORY = b"cannot allocate memory"
#: Signals of a reached limit. Without memory the library aborts, mostly without a message.
_LIMIT_SIGNALS = {-signal.SIGXCPU, -signal.SIGXFSZ, -signal.SIGABRT}


def read(path: Path, filename: str, content_type: str, *, ocr: bool, cancelled: Event) -> Extracted:
    """Return what a child process extracts from a document. Raises as ``files.extraction.extract``."""
    limits = _limits(ocr=ocr)
    _sweep(
        settings.EXTRACTION_TEMP_DIR,
        _limits(ocr=True).deadline,
        int(time.monotonic() / _ABANDONED_AFTER),
    )
    with (
        tempfile.TemporaryDirectory(
            prefix=PREFIX, dir=settings.EXTRACTION_TEMP_DIR, ignore_cleanup_errors=True
        ) as folder,
        tempfile.TemporaryFile(dir=folder) as output,
    ):
        request = {
            "path": str(path.resolve()),
            "folder": folder,
            # Not the file name, which may be confidential: every user of the machine can read arguments.
            "suffix": suffix_of(filename),
            "content_type": content_type,
            "ocr": ocr,
            "parent": os.getpid(),
            "started_at": time.monotonic(),
            "limits": dataclasses.asdict(limits),
        }
        _run(request, output, limits, cancelled)
        output.seek(0)
        return _extracted(output.read(limits.output + 1), ocr=ocr)


def _limits(*, ocr: bool) -> Limits:
    seconds, deadline = settings.EXTRACTION_SECONDS, settings.EXTRACTION_DEADLINE_SECONDS
    if ocr:
        seconds += settings.OCR_SECONDS
        deadline = max(deadline, seconds)
    return Limits(seconds, deadline, settings.EXTRACTION_MEMORY_BYTES, settings.EXTRACTION_MAX_CHARACTERS)


def _run(request: dict[str, Any], output: IO[bytes], limits: Limits, cancelled: Event) -> None:
    command = [sys.executable, "-m", "files.extraction", orjson.dumps(request).decode()]
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", buffering=0) as stderr:
        try:
            process = subprocess.Popen(
                command,
                cwd=CODE,
                env=environment(request["folder"]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=write_end,
                start_new_session=True,
            )
        except OSError:
            logger.exception("Cannot start an extraction process.")
            raise ExtractionError("extraction_failed", transient=True) from None
        finally:
            os.close(write_end)
        try:
            _wait(_Child(process, stderr), limits, request["started_at"], cancelled)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(child: "_Child", limits: Limits, started_at: float, cancelled: Event) -> None:
    """Wait for a process to end. Raises ExtractionError if it fails or exceeds its deadline; Cancelled."""
    while (left := started_at + limits.deadline - time.monotonic()) > 0:
        status = child.wait(min(left, _POLL_SECONDS))
        if status is not None:
            _check_status(status, child.stderr)
            return
        if cancelled.is_set():
            raise Cancelled
    # A process that used its time has a document that takes too long; on a busy machine it may not have got any.
    too_complex = _processor_seconds(child.pid) > limits.seconds / 2
    raise ExtractionError(
        "file_too_complex" if too_complex else "extraction_failed", transient=not too_complex
    )


def environment(folder: str) -> dict[str, str]:
    """Return the environment of an extraction process whose temporary folder this is."""
    inherited = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    threads = {
        "MALLOC_ARENA_MAX": "2",
        "RAYON_NUM_THREADS": "1",
        "TOKIO_WORKER_THREADS": "1",
        "OMP_THREAD_LIMIT": "1",
    }
    return {
        **inherited,
        **threads,
        "TMPDIR": folder,
        "HOME": folder,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


class _Child:
    """An extraction process, and the beginning of what it writes to stderr."""

    def __init__(self, process: subprocess.Popen[bytes], pipe: IO[bytes]) -> None:
        self.pid = process.pid
        self.stderr = b""
        self._process = process
        self._pipe: IO[bytes] | None = pipe
        self._poll = select.poll()
        self._poll.register(pipe, select.POLLIN)

    def wait(self, seconds: float) -> int | None:
        """Wait until it writes to stderr or ends, at most so long; return its exit status if it has ended."""
        if self._pipe is not None:
            data = self._pipe.read(65536) if self._poll.poll(seconds * 1000) else None
            if data != b"":
                self.stderr = (self.stderr + (data or b""))[:_STDERR_LIMIT]
                return None
            self._pipe = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None


def _check_status(status: int, stderr: bytes) -> None:
    """Raise ExtractionError if a process did not exit normally."""
    if status == 0:
        return
    # Only an uncaught OSError exits with status 1, so only then is stderr free of the document's text.
    reason = stderr.decode(errors="replace").strip().rpartition("\n")[2] if status == 1 else ""
    logger.warning("An extraction process ended with status %s. %s", status, reason)
    if status in _LIMIT_SIGNALS or _NO_MEMORY in stderr:
        raise ExtractionError("file_too_complex")
    raise ExtractionError("extraction_failed", transient=True)


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _extracted(data: bytes, *, ocr: bool) -> Extracted:
    """Validate the result of a process that a hostile document may control."""
    try:
        result = orjson.loads(data)
        if "needs_ocr" in result and not ocr:
            raise NeedsOCR
        if "code" in result:
            code, message = str(result["code"]), str(result["message"])[:_MESSAGE_LIMIT]
            error = ExtractionError(code if code in MESSAGES else "broken_file", message)
        else:
            sections = [_section(*fields) for fields in result["sections"]]
            return Extracted(sections, str(result["warning"])[:_MESSAGE_LIMIT])
    except (ValueError, TypeError, KeyError):
        error = ExtractionError("extraction_failed", transient=True)
    raise error


def _section(text: Any, page: Any, heading: Any) -> Section:
    if not isinstance(text, str) or not isinstance(heading, str) or not isinstance(page, int | None):
        raise TypeError
    return Section(text, page, heading)


@lru_cache(maxsize=1)
def _sweep(directory: str | None, deadline: float, period: int) -> None:
    """Remove folders of extraction processes that were killed together with their parent, once a period."""
    for folder in Path(directory or tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another process may remove it first
            if time.time() - folder.stat().st_mtime > deadline + _ABANDONED_AFTER:
                shutil.rmtree(folder, ignore_errors=True)
