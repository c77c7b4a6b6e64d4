"""Sandbox of an extraction process: no network, no other processes, no other files.

It combines three Linux features that need no privileges, each applied where the kernel supports it: an empty
network namespace, a seccomp filter, and Landlock for files. Other systems have none of them.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from files.extraction.seccomp import filter_system_calls

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_NO_NEW_PRIVS = 38

_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14
_LANDLOCK_RULE_PATH_BENEATH = 1

_libc = ctypes.CDLL(None, use_errno=True)


def confine(document: Path, folder: Path) -> list[str]:
    """Restrict this process to ``document`` and ``folder`` for good; return the restrictions that apply.

    Call it before a second thread exists: threads that are already running are not restricted.
    """
    if sys.platform != "linux":
        return []
    applied = []
    if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        applied.append("network")
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if _restrict_files(readable=[document, *_code()], writable=[folder]):
        applied.append("files")
    if filter_system_calls():
        applied.append("system calls")
    return applied


def _code() -> list[Path]:
    """Return the folders of the program and its libraries; of the checkout, only the code."""
    root = Path(__file__).resolve().parent.parent.parent
    paths = [Path(entry).resolve() for entry in (*sys.path, sys.prefix, sys.base_prefix) if entry]
    system = ["/usr", "/lib", "/lib64", "/opt", "/etc/ld.so.cache", "/dev/null", "/dev/urandom"]
    others = map(Path, filter(None, [*system, os.environ.get("TESSDATA_PREFIX")]))
    return [*(path for path in paths if path != root), root / "files", root / "gtapi", *others]


def _restrict_files(readable: Iterable[Path], writable: Iterable[Path]) -> bool:
    version = _libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    all_rights = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    tcp = 3 if version >= 4 else 0
    signals_and_sockets = 3 if version >= 6 else 0
    rules = struct.pack("=QQQ", all_rights, tcp, signals_and_sockets)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _libc.syscall(_LANDLOCK_CREATE_RULESET, rules, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    for paths, access in ((readable, _READ_FILE | _READ_DIR), (writable, all_rights)):
        for path in paths:
            _allow(ruleset, path, access)
    failed: int = _libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return not failed


def _allow(ruleset: int, path: Path, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # it does not exist
    if not path.is_dir():
        access &= _FILE_RIGHTS
    _libc.syscall(
        _LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0
    )
    os.close(descriptor)
