"""Print the OpenAPI description of the API, or write the route reference."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand

from gtapi.text import pluralize
from inference.openapi.assembly import description
from inference.openapi.markdown import pages


class Command(BaseCommand):
    help = "Print the OpenAPI description of the API as JSON, or with --docs write a Markdown page per route."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--docs", action="store_true", help="write the pages of docs/routes/")
        parser.add_argument(
            "--folder",
            type=Path,
            default=settings.BASE_DIR / "docs" / "routes",
            help="the folder for --docs (default: docs/routes/)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["docs"]:
            self.stdout.write(orjson.dumps(description(), option=orjson.OPT_INDENT_2).decode())
            return
        folder: Path = options["folder"]
        folder.mkdir(parents=True, exist_ok=True)
        written = pages()
        for name, text in written.items():
            (folder / name).write_text(text)
        for old in folder.glob("*.md"):
            if old.name not in written:
                old.unlink()
        self.stdout.write(f"Wrote {pluralize(len(written), 'page')} into {folder}.")
