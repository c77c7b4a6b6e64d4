"""A copy of the code on which a recipe of CONTRIBUTING.md can be performed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SAMPLE = Path(__file__).parent / "sample"
COPIED = ("gtapi", "tenants", "files", "inference", "templates", "tests", "manage.py", "pyproject.toml")


def copy_code(root: Path) -> Path:
    """Copy the code into an empty folder and return it."""
    for name in COPIED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root / name)
    return root


def add_after(path: Path, before: str, row: str) -> None:
    """Add a row to a file after the only place that has these characters."""
    text = path.read_text()
    assert text.count(before) == 1, path
    path.write_text(text.replace(before, before + row))


def run(root: Path, *arguments: str) -> str:
    """Run Python in a copy and return what it printed."""
    done = _python(root, arguments)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def error_of(root: Path, *arguments: str) -> str:
    """Run Python in a copy, where it has to fail, and return its standard error."""
    done = _python(root, arguments)
    assert done.returncode != 0, done.stdout
    return done.stderr


def _python(root: Path, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root), "DJANGO_SETTINGS_MODULE": "gtapi.settings"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
