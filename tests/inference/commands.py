"""Runs the commands of the configuration, and writes their files."""

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from textwrap import dedent

from django.core.management import call_command

from tests.environment import CHECKOUT


def run(command: str, *arguments: str, **options) -> str:
    """What a command prints; a refusal is a CommandError."""
    printed = StringIO()
    call_command(command, *arguments, stdout=printed, stderr=StringIO(), **options)
    return printed.getvalue()


def manage(*arguments: str, text: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` in a subprocess, with `text` on its standard input."""
    return subprocess.run(
        [sys.executable, str(CHECKOUT / "manage.py"), *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
        timeout=60,
    )


class Configuration:
    """A file that `apply` reads; `apply(text)` writes and applies it, and returns what was printed."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "configuration.yaml"

    def write(self, text: str) -> str:
        self.file.write_text(dedent(text))
        return str(self.file)

    def apply(self, text: str, *arguments: str) -> str:
        return run("apply", self.write(text), *arguments)
