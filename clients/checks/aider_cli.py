"""Checks of aider, the command-line editor: one file change per run, without git or prompts."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import check, main, took

OPTIONS = (
    "--no-git", "--yes-always", "--no-check-update", "--analytics-disable", "--no-show-release-notes",
    "--no-show-model-warnings", "--no-pretty", "--no-fancy-input", "--no-detect-urls", "--map-tokens", "0",
    "--no-gitignore", "--no-suggest-shell-commands",
)  # fmt: skip


def aider(facts: Any, model: str, *arguments: str, key: str = "") -> tuple[str, str]:
    """Request a change to a file; returns aider's output and the changed file."""
    with tempfile.TemporaryDirectory() as folder:
        edited = Path(folder) / "greet.py"
        edited.write_text('print("Hello")\n')
        base = ["--openai-api-base", facts.base_url, "--model", f"openai/{model}"]
        done = subprocess.run(
            [str(Path(sys.executable).parent / "aider"), *OPTIONS, *base, *arguments, "greet.py"],
            env={**os.environ, "OPENAI_API_KEY": key or facts.api_key}, cwd=folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip
        # aider wraps lines at the terminal width.
        return " ".join((done.stdout + done.stderr).split()), edited.read_text()


def change(facts: Any, model: str, *arguments: str) -> None:
    said, text = aider(facts, model, *arguments, "--message", "Greet Bonn")
    assert text == 'print("Hello, Bonn!")\n', said[-600:]


@check("chat")
def question(facts):
    said, text = aider(facts, "chat", "--no-stream", "--chat-mode", "ask", "--message", "What is this?")
    assert "You said: What is this?" in said, said[-600:]
    assert text == 'print("Hello")\n'


@check("chat")
def edit_of_a_whole_file(facts):
    change(facts, "edit-whole", "--edit-format", "whole", "--no-stream")


@check("chat stream")
def edit_of_a_whole_file_streamed(facts):
    change(facts, "edit-whole", "--edit-format", "whole", "--stream")


@check("chat stream")
def edit_by_a_block_streamed(facts):
    change(facts, "edit-block", "--edit-format", "diff", "--stream")


@check("errors")
def messages_of_ours_are_shown(facts):
    said, _ = aider(facts, "chat", "--message", "Hello", key="gtak_wrong")
    assert "Incorrect API key" in said, said[-600:]
    said, _ = aider(facts, "unknown-model", "--message", "Hello")
    assert "'unknown-model' does not exist" in said, said[-600:]


@check("retries")
def answers_after_a_429(facts):
    asked = f"aider {time.monotonic_ns()}"
    (said, _), seconds = took(
        lambda: aider(facts, "flaky", "--no-stream", "--chat-mode", "ask", "--message", asked)
    )
    assert f"You said: {asked}" in said, said[-600:]
    assert seconds > 1.9, seconds


if __name__ == "__main__":
    main()
