"""A filter of system calls for a process that reads strangers' files: no sockets, no processes, no spying."""

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
_REFUSE = 0x00050000  # and the error's number
_EPERM = 1
_ENOSYS = 38


@dataclass(frozen=True, slots=True)
class _Machine:
    """The kernel's name of a machine, and the numbers of the calls that matter there."""

    name: int
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


_MACHINES = {
    "x86_64": _Machine(
        0xC000003E,
        clone=56,
        tgkill=234,
        sockets=(41, 42, 49, 50),
        processes=(57, 58, 59, 322),
        others=(62, 200, 101, 310, 311, 424, 438),
        kernel=(165, 166, 272, 308, 248, 249, 250, 298, 321, 323, 425, 426, 427),
    ),
    "aarch64": _Machine(
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


def filter_calls() -> bool:
    """Have the kernel refuse sockets, new processes, and what reaches into others; threads are allowed."""
    if platform.machine() not in _MACHINES or sys.maxsize < 1 << 32:
        return False
    program = b"".join(_instructions(_MACHINES[platform.machine()]))
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    done: int = _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0)
    return done == 0


def _instructions(machine: _Machine) -> Iterable[bytes]:
    """Yield a program of the kernel's packet filter: 8 bytes an instruction."""
    number, architecture, first_argument = 0, 4, 16
    refused = _give(_REFUSE | _EPERM)
    yield _load(architecture)
    yield _jump_if_equal(machine.name, 1, 0)
    yield refused
    yield _load(number)
    # Above are the numbers of a second way to call the same things.
    yield _instruction(0x35, 0, 1, 0x40000000)
    yield refused
    # Whoever asks for a new thread in the newest way is told to use the old one, whose flags can be seen.
    yield _jump_if_equal(_CLONE3, 0, 1)
    yield _give(_REFUSE | _ENOSYS)
    yield _jump_if_equal(machine.clone, 0, 4)
    yield _load(first_argument)
    yield _instruction(0x45, 0, 1, _CLONE_THREAD)
    yield _give(_ALLOW)
    yield refused
    # A process may send signals to itself, as it does to abort.
    yield _jump_if_equal(machine.tgkill, 0, 4)
    yield _load(first_argument)
    yield _jump_if_equal(os.getpid(), 0, 1)
    yield _give(_ALLOW)
    yield refused
    for call in (*machine.sockets, *machine.processes, *machine.others, *machine.kernel):
        yield _jump_if_equal(call, 0, 1)
        yield refused
    yield _give(_ALLOW)


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _load(offset: int) -> bytes:
    return _instruction(0x20, 0, 0, offset)


def _jump_if_equal(value: int, if_true: int, if_false: int) -> bytes:
    return _instruction(0x15, if_true, if_false, value)


def _give(verdict: int) -> bytes:
    return _instruction(0x06, 0, 0, verdict)
