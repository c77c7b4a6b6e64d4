"""The demo tenant: made by the command `demo`, kept in `demo.json`, shown on the console."""

import json
import shlex
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from gtapi.data_dir import DataDir, write_private_file
from gtapi.stack import startup
from gtapi.stack.console import Console

MODEL = "demo-assistant"
NO_KEY = "none that works: `manage.py create_key --tenant demo --name again --preset everything` makes one"
NO_LOG_IN = "with the log-in that you have made"
QUESTION = "What is the capital of France?"


class DemoTenant:
    """The facts that a newcomer and their scripts need.

    The command `demo` is called on every start: it makes the tenant where there is none, and leaves alone what
    somebody has edited. It prints one JSON object, without the key and the password that it did not make just
    then; those are known from the first time.
    """

    def __init__(self, data_dir: DataDir, url: str, console: Console) -> None:
        self.file = data_dir.demo_file
        self.url = url
        self.console = console
        self.facts: dict[str, Any] = {}

    def apply(self, provider: Sequence[str]) -> None:
        """Have the tenant in the database, with `provider` as arguments of the command, and write the file."""
        from django.core.management import call_command

        printed, said = StringIO(), StringIO()
        call_command("demo", "--url", self.url, *provider, stdout=printed, stderr=said)
        startup.disconnect()
        for line in said.getvalue().splitlines():
            self.console.log(line)
        self.facts = {**self._saved(), **json.loads(printed.getvalue())}
        write_private_file(self.file, json.dumps(self.facts, indent=1))

    def announce(self) -> None:
        """Show the facts, once the gateway answers."""
        facts = self.facts
        accepted = self._is_accepted(facts.get("api_key"))
        log_in = " / ".join(facts[name] for name in ("admin_username", "admin_password") if name in facts)
        lines = [
            "",
            f"  Base URL   {facts['base_url']}",
            f"  API key    {facts['api_key'] if accepted else NO_KEY}",
            f"  Models     {', '.join(facts['models']) or 'none'}",
            f"  Admin      {facts['admin_url']}  ({log_in or NO_LOG_IN})",
            "",
            *([curl(facts), ""] if accepted else []),
            f"The same is in {self.file}. Ctrl-C stops everything.",
            "",
        ]
        self.console.write("\n".join(lines))

    def _is_accepted(self, key: object) -> bool:
        """Whether the gateway takes the key that the file holds: it may be revoked, or of another database."""
        if not isinstance(key, str):
            return False
        opener = build_opener(ProxyHandler({}))
        opener.addheaders = [("Authorization", f"Bearer {key}")]
        try:
            with opener.open(f"{self.facts['base_url']}/v1/models", timeout=10) as answer:
                return bool(answer.status == 200)
        except HTTPError:
            return False

    def _saved(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return {}


def curl(facts: Mapping[str, Any]) -> str:
    """A command line that works as pasted."""
    start = ["curl", "-H", f"Authorization: Bearer {facts.get('api_key', '')}"]
    if MODEL not in facts.get("models", []):
        # What else there is may not chat.
        return shlex.join([*start, f"{facts['base_url']}/v1/models"])
    body = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}]}
    sent = ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return shlex.join([*start, f"{facts['base_url']}/v1/chat/completions", *sent])
