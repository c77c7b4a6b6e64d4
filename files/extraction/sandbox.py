"""What a process that reads strangers' files is kept from: the network, other processes, and other files.

Three ways of Linux's that need no privileges, each of which holds where the kernel has it: a network of its own
with nothing in it, a filter of system calls, and Landlock for files. On other systems none of them does.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from files.extraction.seccomp import filter_calls

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_NO_NEW_PRIVS = 38

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14
_LANDLOCK_PATH = 1

_libc = ctypes.CDLL(None, use_errno=True)


def confine(document: Path, folder: Path) -> list[str]:
    """Keep this process and its threads from all but ``document`` and ``folder``, for good; say which ways hold.

    Call it before there is a second thread, since each thread has a confinement of its own.
    """
    if sys.platform != "linux":
        return []
    held = []
    if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        held.append("network")
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if _restrict_files(readable=[document, *_code()], writable=[folder]):
        held.append("files")
    if filter_calls():
        held.append("calls")
    return held


def _code() -> list[Path]:
    """Where the program and its libraries are; of the checkout, only its code."""
    root = Path(__file__).resolve().parent.parent.parent
    paths = [Path(entry).resolve() for entry in (*sys.path, sys.prefix, sys.base_prefix) if entry]
    system = ["/usr", "/lib", "/lib64", "/opt", "/etc/ld.so.cache", "/dev/null", "/dev/urandom"]
    others = map(Path, filter(None, [*system, os.environ.get("TESSDATA_PREFIX")]))
    return [*(path for path in paths if path != root), root / "files", root / "gtapi", *others]


def _restrict_files(readable: Iterable[Path], writable: Iterable[Path]) -> bool:
    version = _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    every = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    tcp = 3 if version >= 4 else 0
    signals_and_sockets = 3 if version >= 6 else 0
    rules = struct.pack("=QQQ", every, tcp, signals_and_sockets)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _libc.syscall(_LANDLOCK_CREATE, rules, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    for paths, access in ((readable, _READ_FILE | _READ_DIR), (writable, every)):
        for path in paths:
            _allow(ruleset, path, access)
    failed: int = _libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)
    return not failed


def _allow(ruleset: int, path: Path, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there need not be allowed
    if not path.is_dir():
        access &= _OF_FILES
    _libc.syscall(_LANDLOCK_ADD, ruleset, _LANDLOCK_PATH, struct.pack("=Qi", access, descriptor), 0)
    os.close(descriptor)
