"""The process that reads a file, as the one who waits for it sees it."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from files.extraction.sections import ExtractionError, Section

CODE = Path(__file__).resolve().parent.parent.parent


def read(path: Path, name: str) -> list[Section]:
    """Return the sections that a process of its own finds in a file. Raises ExtractionError."""
    command = [sys.executable, "-m", "files.extraction", str(path.resolve()), name]
    with tempfile.TemporaryDirectory(prefix="gtapi-extract-") as folder:
        try:
            done = subprocess.run(
                command,
                cwd=CODE,
                env={"PATH": "/usr/bin:/bin", "TMPDIR": folder, "HOME": folder, "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=90,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ExtractionError("extraction_failed", passing=True) from None
    if done.returncode:
        raise ExtractionError("extraction_failed", passing=done.returncode < 0)
    answer = json.loads(done.stdout)
    if "code" in answer:
        raise ExtractionError(answer["code"], answer["message"])
    return [Section(**section) for section in answer["sections"]]
