"""Run a complete gateway with one command."""

import os
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand

from gtapi.data_dir import data_dir
from gtapi.stack.launcher import Launcher, LaunchOptions

OFF = ("0", "false", "no", "off")


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ArgumentTypeError(f"{text!r} is not a valid port: it must be a number from 1 to 65535")
    return int(text)


class Command(BaseCommand):
    help = (
        "Run PostgreSQL, Redis, local models, the Celery workers and the web server with a demo tenant, until "
        "Ctrl-C. DATABASE_URL and REDIS_URL replace the embedded servers with external ones."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port",
            type=_port,
            default=os.environ.get("PORT") or "8000",
            help="port of the web server (default: PORT, or 8000)",
        )
        parser.add_argument(
            "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)"
        )
        parser.add_argument(
            "--no-local-models",
            action="store_true",
            default=os.environ.get("LOCAL_MODELS", "1").lower() in OFF,
            help="do not run local models (default if LOCAL_MODELS=0)",
        )
        parser.add_argument(
            "--provider-url",
            default=os.environ.get("DEMO_PROVIDER_BASE_URL", ""),
            help="OpenAI-compatible provider of the demo tenant instead of local models "
            "(default: DEMO_PROVIDER_BASE_URL); its API key is DEMO_PROVIDER_API_KEY",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        Launcher(
            data_dir,
            LaunchOptions(
                host=options["host"],
                port=options["port"],
                local_models=not options["no_local_models"],
                provider_url=options["provider_url"],
            ),
        ).run()
