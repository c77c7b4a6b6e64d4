"""Make the database equal to a YAML file."""

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
        "Make the database equal to a YAML file, in one transaction, and print what changes. Applying a file "
        "twice changes nothing. The file states the whole truth about what it names: a field that it leaves out "
        "has its default, but for credentials, which stay. What it does not name stays, too, unless --prune "
        "says otherwise; tenants that it does not name always stay as they are."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="the file; - reads it from standard input")
        parser.add_argument(
            "--dry-run", action="store_true", help="print what would change, and change nothing"
        )
        parser.add_argument(
            "--prune",
            action="store_true",
            help="within the tenants that the file names, delete the agents, catalog entries, datasets and "
            "providers that it does not name, and revoke such keys for good; other tenants are left alone",
        )
        parser.add_argument(
            "--yes", action="store_true", help="with --prune, delete datasets with all that is in them, too"
        )
        parser.add_argument(
            "--show-new-keys", action="store_true", help="print each key that is made, once, at the end"
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
        CommandError: there is no such text.
    """
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "this is no file's name"
        raise CommandError(f"{name} cannot be read: {why}.") from None
    if len(data) > MAX_BYTES:
        raise CommandError(f"{name} is larger than {MAX_BYTES:,} bytes.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(f"{name} is not UTF-8 text: byte {error.start} is none.") from None


def _summary(changes: list[apply.Change], *, dry_run: bool) -> str:
    counts = {sign: sum(change.sign == sign for change in changes) for sign in "+~-"}
    done = f"{counts['+']} to create, {counts['~']} to change, {counts['-']} to delete. Nothing was changed."
    if dry_run:
        return f"Dry run: {done}"
    return f"{counts['+']} created, {counts['~']} changed, {counts['-']} deleted."
