"""Helpers that run a gateway under the launcher in its own data folder, and look at what it leaves behind."""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from tests.environment import CHECKOUT

#: Seconds in which a whole gateway is up, on a machine that is busy with other things, too.
STARTED = 240
#: The launcher sets everything else.
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")


def environment(home: Path, **variables: str) -> dict[str, str]:
    """The environment of a user who has set nothing but `variables`, with the data in `home`."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**inherited, "GTAPI_HOME": str(home), "LOCAL_MODELS": "0", **variables}


def manage(
    home: Path, *arguments: str, timeout: float = 60, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CHECKOUT / "manage.py"), *arguments],
        env=environment(home, **variables),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def processes(home: Path) -> dict[int, str]:
    """The processes that have a file under `home` open, as every part of a gateway has its log, by their id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            opened = [str(link.readlink()) for link in (folder / "fd").iterdir()]
            if any(name.startswith(f"{home}/") for name in opened):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # gone by now, or not ours
            continue
    return found


def eventually_none(home: Path, seconds: float = 15) -> bool:
    deadline = monotonic() + seconds
    pause = threading.Event()
    while processes(home):
        if monotonic() > deadline:
            return False
        pause.wait(0.05)
    return True


RUN = (sys.executable, str(CHECKOUT / "manage.py"), "run")
#: `make run` in this environment, whose packages are those of the suite: nothing is installed.
MAKE_RUN = (
    *("make", "-C", str(CHECKOUT), "run", f"VENV={sys.prefix}"),
    *("-o", f"{sys.prefix}/.embedded", "-o", f"{sys.prefix}/.local"),
)


class Run:
    """`manage.py run` on `port`, or another `command` that does the same, with every line that it prints."""

    def __init__(self, home: Path, port: int, command: Sequence[str] = RUN, **variables: str) -> None:
        self.home = home
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.lines: list[str] = []
        self._arriving: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            command,
            env=environment(home, PORT=str(port), **variables),
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def printed(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """The next line that has `text` in it; fails with everything printed when there is none in time."""
        deadline = monotonic() + seconds
        while True:
            try:
                line = self._arriving.get(timeout=max(0.0, deadline - monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, f"No line with {text!r} in:\n{self.printed}"
            if text in line:
                return line

    def ready(self) -> "Run":
        try:
            self.wait_for("Press Ctrl-C to stop", STARTED)
        except AssertionError:
            self.end(signal.SIGKILL)
            raise
        return self

    def part(self, words: str) -> int:
        """The id of the oldest process whose command line has `words` in it."""
        matches = [pid for pid, command in processes(self.home).items() if words in command]
        # By start time: process ids wrap around. It is the 20th field after the name, which may contain spaces.
        return min(
            matches, key=lambda pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        )

    def end(self, number: int, seconds: float = 60) -> int:
        """Send the launcher a signal, and return its exit status once it is gone and all its lines are read."""
        self.process.send_signal(number)
        status = self.process.wait(seconds)
        self._reader.join(5)
        return status

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._arriving.put(self.lines[-1])
        self.process.stdout.close()
        self._arriving.put(None)
