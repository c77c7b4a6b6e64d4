"""Apply a YAML configuration file to the database."""

import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from inference.configuration import apply, specs
from inference.configuration.errors import reported

#: Largest file, in bytes.
MAX_BYTES = 20_000_000


class Command(BaseCommand):
    help = (
        "Apply a YAML configuration file to the database, in one transaction, and print what changes. Applying a "
        "file twice changes nothing. A field that the file leaves out is reset to its default, except for "
        "credentials, which are kept. Anything that the file does not name is kept unless --prune is given; "
        "tenants that it does not name are never changed."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="path of the file, or - for standard input")
        parser.add_argument(
            "--dry-run", action="store_true", help="print what would change without changing anything"
        )
        parser.add_argument(
            "--prune",
            action="store_true",
            help="within the tenants that the file names, delete the agents, catalog entries, datasets and "
            "providers that it does not name, and revoke such keys for good; other tenants are left alone",
        )
        parser.add_argument(
            "--yes",
            action="store_true",
            help="with --prune, confirm the deletion of datasets with all their files",
        )
        parser.add_argument(
            "--show-new-keys",
            action="store_true",
            help="print each new key at the end; it cannot be shown again",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        dry_run = options["dry_run"]
        with reported():
            result = apply.apply(
                specs.read(text_of(options["file"]), os.environ),
                prune=options["prune"],
                yes=options["yes"],
                dry_run=dry_run,
            )
        if not result.changes:
            self.stdout.write("No changes.")
            return
        for change in result.changes:
            self.stdout.write(str(change))
        self.stdout.write(_summary(result.changes, dry_run=dry_run))
        if result.new_keys and not dry_run:
            self._keys(result.new_keys, show=options["show_new_keys"])

    def _keys(self, keys: list[apply.IssuedKey], *, show: bool) -> None:
        if not show:
            self.stdout.write("New keys are not shown; --show-new-keys prints them when they are made.")
            return
        self.stdout.write("New keys, shown this once:")
        for key in keys:
            self.stdout.write(f"{key.name} {key.plain}")


def text_of(name: str) -> str:
    """Return the text of a file, or of standard input for ``-``.

    Raises:
        CommandError: the file cannot be read.
    """
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "this is not a file name"
        raise CommandError(f"{name} cannot be read: {why}.") from None
    if len(data) > MAX_BYTES:
        raise CommandError(f"{name} is larger than {MAX_BYTES:,} bytes.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(f"{name} is not UTF-8 text: byte {error.start} is invalid.") from None


def _summary(changes: list[apply.Change], *, dry_run: bool) -> str:
    counts = {sign: sum(change.sign == sign for change in changes) for sign in "+~-"}
    done = f"{counts['+']} to create, {counts['~']} to change, {counts['-']} to delete. Nothing was changed."
    if dry_run:
        return f"Dry run: {done}"
    return f"{counts['+']} created, {counts['~']} changed, {counts['-']} deleted."
