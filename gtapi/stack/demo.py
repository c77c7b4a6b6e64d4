"""The demo tenant of `manage.py run`: creates it, writes `demo.json` and prints its URL and key."""

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
NO_KEY = "no valid key; create one with `manage.py create_key --tenant demo --name again --preset everything`"
NO_LOG_IN = "log in with your own account"
QUESTION = "What is the capital of France?"


class DemoTenant:
    """The demo tenant's URLs, models and credentials.

    The command `demo` runs on every start. It creates the tenant if missing, and does not overwrite later edits. It
    prints the key and the password only when it has just created them; later, they are read from `demo.json`.
    """

    def __init__(self, data_dir: DataDir, url: str, console: Console) -> None:
        self.file = data_dir.demo_file
        self.url = url
        self.console = console
        self.facts: dict[str, Any] = {}

    def apply(self, provider: Sequence[str]) -> None:
        """Run the command with the arguments `provider`, and write the file."""
        from django.core.management import call_command

        output, messages = StringIO(), StringIO()
        call_command("demo", "--url", self.url, *provider, stdout=output, stderr=messages)
        startup.disconnect()
        for line in messages.getvalue().splitlines():
            self.console.log(line)
        self.facts = {**self._saved(), **json.loads(output.getvalue())}
        write_private_file(self.file, json.dumps(self.facts, indent=1))

    def announce(self) -> None:
        """Print the facts."""
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
            f"Also written to {self.file}. Press Ctrl-C to stop.",
            "",
        ]
        self.console.write("\n".join(lines))

    def _is_accepted(self, key: object) -> bool:
        """Whether the gateway accepts the key in the file: it may be revoked, or from another database."""
        if not isinstance(key, str):
            return False
        opener = build_opener(ProxyHandler({}))
        opener.addheaders = [("Authorization", f"Bearer {key}")]
        try:
            with opener.open(f"{self.facts['base_url']}/v1/models", timeout=10) as response:
                return bool(response.status == 200)
        except HTTPError:
            return False

    def _saved(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return {}


def curl(facts: Mapping[str, Any]) -> str:
    """A curl command to try the gateway."""
    start = ["curl", "-H", f"Authorization: Bearer {facts.get('api_key', '')}"]
    if MODEL not in facts.get("models", []):
        # The other models may not support chat.
        return shlex.join([*start, f"{facts['base_url']}/v1/models"])
    body = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}]}
    options = ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return shlex.join([*start, f"{facts['base_url']}/v1/chat/completions", *options])
