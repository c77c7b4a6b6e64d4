"""Make a key and print it, once."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from files.models import Dataset
from inference.configuration.errors import reported, unknown
from inference.configuration.field_reader import as_moment
from inference.configuration.grants import grant
from inference.configuration.specs import united
from inference.configuration.upsert import problems_of
from inference.models import InferenceTarget
from tenants.models import InferenceKey, Tenant
from tenants.scopes import DEFAULT_PRESET, PRESETS, SCOPES


class Command(BaseCommand):
    help = (
        "Make a key and print it; it is not stored and cannot be shown again. It may do what its preset and its "
        "scopes say, with the agents, catalog entries and datasets that are named, and with no others."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", required=True, metavar="SLUG")
        parser.add_argument(
            "--name",
            required=True,
            help="what the key is called: a name that no other key has which is not revoked",
        )
        parser.add_argument(
            "--preset",
            default="",
            help=f"{', '.join(PRESETS)} (default, where no scope is given: {DEFAULT_PRESET})",
        )
        parser.add_argument("--scope", action="append", default=[], help="one more scope; may be repeated")
        parser.add_argument(
            "--allow",
            action="append",
            default=[],
            metavar="NAME",
            help="an agent or catalog entry that the key may call; may be repeated",
        )
        parser.add_argument(
            "--dataset",
            action="append",
            default=[],
            metavar="NAME",
            help="a dataset of an operator's that the key may use; may be repeated",
        )
        parser.add_argument(
            "--expires",
            default="",
            metavar="DATE",
            help="when the key stops working, such as 2030-12-31 or 2030-12-31T18:00:00Z; a date means its "
            "first moment in UTC (default: never)",
        )
        parser.add_argument(
            "--json", action="store_true", help="print an object with key, public_id, name and scopes"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with reported(), transaction.atomic():
            key, plain = _make(options)
        if options["json"]:
            made = {"key": plain, "public_id": key.public_id, "name": key.name, "scopes": key.scopes}
            self.stdout.write(json.dumps(made))
            return
        # Standard output holds the key alone, so that a script can keep it.
        self.stderr.write(
            f"Key {key.name} of {options['tenant']}, shown this once. Scopes: {', '.join(key.scopes)}."
        )
        if not options["allow"]:
            self.stderr.write("It may call no agent and no model yet: none is named by --allow.")
        self.stdout.write(plain)


def _make(options: dict[str, Any]) -> tuple[InferenceKey, str]:
    slugs = Tenant.objects.values_list("slug", flat=True)
    tenant = Tenant.objects.filter(slug=options["tenant"]).first()
    if tenant is None:
        raise CommandError(_sentence(unknown("tenant", options["tenant"], slugs)))
    expires_at = None
    if options["expires"]:
        try:
            expires_at = as_moment(options["expires"])
        except ValueError:
            raise CommandError("--expires takes a date, such as 2030-12-31.") from None
        if expires_at <= timezone.now():
            raise CommandError(f"A key that expires on {options['expires']} would never work.")
    targets = dict(InferenceTarget.objects.filter(tenant=tenant).values_list("name", "pk"))
    datasets = dict(Dataset.objects.operators().filter(tenant=tenant).values_list("name", "pk"))
    allowed = {_one("agent or catalog entry", name, targets) for name in options["allow"]}
    readable = {_one("dataset", name, datasets) for name in options["dataset"]}
    try:
        key, plain = InferenceKey.objects.issue(
            tenant, options["name"], _scopes(options), expires_at=expires_at
        )
    except ValidationError as error:
        raise CommandError(" ".join(str(problem) for problem in problems_of(error, "", {}))) from None
    grant(key, targets=allowed, datasets=readable)
    return key, plain


def _scopes(options: dict[str, Any]) -> tuple[str, ...]:
    scopes = tuple(options["scope"])
    preset = options["preset"] or ("" if scopes else DEFAULT_PRESET)
    if preset:
        _one("preset", preset, PRESETS)
    for scope in scopes:
        _one("scope", scope, SCOPES)
    return united(preset, scopes)


def _one(kind: str, name: str, options: Any) -> Any:
    """Return what ``name`` stands for."""
    if name not in options:
        raise CommandError(_sentence(unknown(kind, name, options)))
    return options[name]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('?') else '.'}"
