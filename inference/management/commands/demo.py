"""Create the demo tenant and the first administrator."""

import json
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from inference.configuration import demo
from inference.configuration.errors import reported


class Command(BaseCommand):
    help = (
        "Create the demo tenant and an administrator if they do not exist, and print their details as a JSON "
        "object. The API key and the password are printed only when they are created. Existing data is not "
        "changed. DEMO_PROVIDER_BASE_URL, DEMO_PROVIDER_API_KEY and DEMO_PROVIDER_MODEL select a provider "
        "instead of local models."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--provider-url",
            default=os.environ.get("DEMO_PROVIDER_BASE_URL", ""),
            metavar="URL",
            help="base URL of an OpenAI-compatible provider (default: DEMO_PROVIDER_BASE_URL)",
        )
        parser.add_argument(
            "--provider-key-env",
            default="DEMO_PROVIDER_API_KEY",
            metavar="NAME",
            help="variable that holds the provider's key (default: DEMO_PROVIDER_API_KEY)",
        )
        parser.add_argument(
            "--local-models-url",
            default="",
            metavar="URL",
            help="base URL of the models on this machine; used where no other provider is named",
        )
        parser.add_argument(
            "--url", default="", metavar="URL", help="where the gateway is served, for base_url and admin_url"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        remote, local = options["provider_url"], options["local_models_url"]
        with reported():
            models = self._remote(remote, options["provider_key_env"]) if remote else None
            if local and not remote:
                models = demo.local_models(local)
                if demo.follow_local_models(local):
                    self.stderr.write(f"The demo tenant's provider {demo.LOCAL} is at {local} now.")
            with transaction.atomic():
                api_key = demo.make(models)
                facts = demo.make_administrator()
            names = demo.names()
        if not names:
            self.stderr.write("The demo tenant has no models.")
        if api_key:
            facts["api_key"] = api_key
        if url := options["url"].rstrip("/"):
            facts |= {"base_url": f"{url}/api/tenant", "admin_url": f"{url}/admin/"}
        self.stdout.write(json.dumps({**facts, "models": names}))

    def _remote(self, base_url: str, variable: str) -> demo.Models | None:
        if demo.uses(base_url):
            return None  # it has been made, and nothing needs to be asked
        if not demo.is_wanted():
            self.stderr.write(
                f"The demo tenant is there already and does not use {base_url}; the admin or `manage.py apply` "
                "can change its provider."
            )
            return None
        models, said = demo.remote_models(
            base_url, os.environ.get(variable, ""), os.environ.get("DEMO_PROVIDER_MODEL", "")
        )
        if models is None:
            self.stderr.write(
                f"No model to chat with at {base_url} ({said}): set DEMO_PROVIDER_MODEL, or check the address "
                "and DEMO_PROVIDER_API_KEY, and start again."
            )
        return models
