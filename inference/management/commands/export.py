"""Write the configuration as YAML."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection, transaction

from inference.configuration import export
from inference.configuration.errors import reported


class Command(BaseCommand):
    help = (
        "Write tenants and everything that belongs to them to standard output as YAML for `apply`. Secrets and "
        "default values are left out. Applying the file to the same database changes nothing."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--tenant",
            action="append",
            default=[],
            metavar="SLUG",
            help="export only this tenant; may be repeated (default: all tenants)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # All tables are read as they were at one moment, which only the outermost transaction can ask for.
        outermost = not connection.in_atomic_block
        with reported(), transaction.atomic(), connection.cursor() as cursor:
            if outermost:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            configuration = export.export(options["tenant"])
        self.stdout.write(export.dump(configuration), ending="")
        for tenant in configuration["tenants"]:
            for agent in tenant.get("agents", []):
                if agent.get("published") == "keep":
                    self.stderr.write(
                        f"Agent {tenant['slug']}/{agent['alias']} has unpublished changes. The draft is "
                        "exported; `published: keep` leaves the live version as it is."
                    )
