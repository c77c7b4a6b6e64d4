"""seccomp filter of an extraction process: refuses sockets, new processes and access to other processes."""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_CLONE_THREAD = 0x10000
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000  # combined with an errno
_EPERM = 1
_ENOSYS = 38


@dataclass(frozen=True, slots=True)
class _Architecture:
    """The kernel's identifier of an architecture, and its numbers of the filtered system calls."""

    identifier: int
    clone: int
    tgkill: int
    #: socket, connect, bind, listen
    sockets: tuple[int, ...]
    #: fork, vfork, execve, execveat
    processes: tuple[int, ...]
    #: kill, tkill, ptrace, process_vm_readv, process_vm_writev, pidfd_send_signal, pidfd_getfd
    others: tuple[int, ...]
    #: mount, umount2, unshare, setns, add_key, request_key, keyctl, perf_event_open, bpf, userfaultfd, io_uring_*
    kernel: tuple[int, ...]


_ARCHITECTURES = {
    "x86_64": _Architecture(
        0xC000003E,
        clone=56,
        tgkill=234,
        sockets=(41, 42, 49, 50),
        processes=(57, 58, 59, 322),
        others=(62, 200, 101, 310, 311, 424, 438),
        kernel=(165, 166, 272, 308, 248, 249, 250, 298, 321, 323, 425, 426, 427),
    ),
    "aarch64": _Architecture(
        0xC00000B7,
        clone=220,
        tgkill=131,
        sockets=(198, 203, 200, 201),
        processes=(221, 281),
        others=(129, 130, 117, 270, 271, 424, 438),
        kernel=(40, 39, 97, 268, 217, 218, 219, 241, 280, 282, 425, 426, 427),
    ),
}
_CLONE3 = 435

_libc = ctypes.CDLL(None, use_errno=True)


def filter_system_calls() -> bool:
    """Install the filter; threads stay allowed. Returns whether the kernel accepted it."""
    if platform.machine() not in _ARCHITECTURES or sys.maxsize < 1 << 32:
        return False
    program = b"".join(_instructions(_ARCHITECTURES[platform.machine()]))
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    error: int = _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0)
    return error == 0


def _instructions(architecture: _Architecture) -> Iterable[bytes]:
    """Yield the instructions of a BPF program, 8 bytes each."""
    number, identifier, first_argument = 0, 4, 16
    refuse = _return(_REFUSE | _EPERM)
    yield _load(identifier)
    yield _jump_if_equal(architecture.identifier, 1, 0)
    yield refuse
    yield _load(number)
    # Numbers above this belong to the x32 ABI, a second way to make the same calls.
    yield _instruction(0x35, 0, 1, 0x40000000)
    yield refuse
    # The filter cannot read the flags of clone3; with ENOSYS the C library falls back to clone.
    yield _jump_if_equal(_CLONE3, 0, 1)
    yield _return(_REFUSE | _ENOSYS)
    yield _jump_if_equal(architecture.clone, 0, 4)
    yield _load(first_argument)
    yield _instruction(0x45, 0, 1, _CLONE_THREAD)
    yield _return(_ALLOW)
    yield refuse
    # A process may send signals to itself, as it does to abort.
    yield _jump_if_equal(architecture.tgkill, 0, 4)
    yield _load(first_argument)
    yield _jump_if_equal(os.getpid(), 0, 1)
    yield _return(_ALLOW)
    yield refuse
    for call in (
        *architecture.sockets,
        *architecture.processes,
        *architecture.others,
        *architecture.kernel,
    ):
        yield _jump_if_equal(call, 0, 1)
        yield refuse
    yield _return(_ALLOW)


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _load(offset: int) -> bytes:
    return _instruction(0x20, 0, 0, offset)


def _jump_if_equal(value: int, if_true: int, if_false: int) -> bytes:
    return _instruction(0x15, if_true, if_false, value)


def _return(verdict: int) -> bytes:
    return _instruction(0x06, 0, 0, verdict)
