"""The demo tenant: made by the command `demo`, kept in `demo.json`, shown on the console."""

import json
import os
import shlex
from collections.abc import Mapping
from io import StringIO
from typing import Any, Self

from gtapi.home import Home, write_private_file
from gtapi.stack import database
from gtapi.stack.console import Console

MODEL = "demo-assistant"
QUESTION = "What is the capital of France?"


class Demo:
    """The facts that a newcomer and their scripts need.

    The command is called as

        manage.py demo [--local-models-url URL | --provider-url URL [--provider-key-env NAME]]

    on every start. The first time it makes the tenant; later it changes nothing that somebody may have
    edited. It prints one JSON object with `api_key`, `models`, `admin_username` and `admin_password`. Those
    that it no longer knows, as a key of which it has only the digest, it leaves out: they stay as they were.
    """

    def __init__(self, home: Home, url: str) -> None:
        self.file = home.demo_file
        self.url = url
        self.facts: dict[str, Any] = {}

    def apply(self, provider_url: str, provider_key_env: str, *, local: bool) -> Self:
        """Have the tenant in the database, and write the file.

        Local models may still be loading, and their address may be another one than in the last run.
        """
        from django.core.management import call_command

        option = "--local-models-url" if local else "--provider-url"
        arguments = [option, provider_url] if provider_url else []
        if provider_url and not local and os.environ.get(provider_key_env):
            arguments += ["--provider-key-env", provider_key_env]
        printed = StringIO()
        call_command("demo", *arguments, stdout=printed)
        database.disconnect()
        known = {name: value for name, value in json.loads(printed.getvalue()).items() if value is not None}
        addresses = {"base_url": f"{self.url}/api/tenant", "admin_url": f"{self.url}/admin/"}
        self.facts = {**self._saved(), **known, **addresses}
        write_private_file(self.file, json.dumps(self.facts, indent=1))
        return self

    def announce(self, console: Console) -> None:
        facts = self.facts
        console.write(
            f"""
  Base URL   {facts["base_url"]}
  API key    {facts.get("api_key", "")}
  Models     {", ".join(facts.get("models", [])) or "none"}
  Admin      {facts["admin_url"]}  ({facts.get("admin_username", "")} / {facts.get("admin_password", "")})

{curl(facts)}

The same is in {self.file}. Ctrl-C stops everything.
"""
        )

    def _saved(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return {}


def curl(facts: Mapping[str, Any]) -> str:
    """A command line that works as pasted."""
    start = ["curl", "-H", f"Authorization: Bearer {facts.get('api_key', '')}"]
    models = facts.get("models", [])
    if not models:
        return shlex.join([*start, f"{facts['base_url']}/v1/models"])
    body = {
        "model": MODEL if MODEL in models else models[0],
        "messages": [{"role": "user", "content": QUESTION}],
    }
    sent = ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return shlex.join([*start, f"{facts['base_url']}/v1/chat/completions", *sent])
