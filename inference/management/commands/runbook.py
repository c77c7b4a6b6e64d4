"""Print a runbook, or run its checklist."""

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gtapi.runbooks.render import markdown, render
from gtapi.runbooks.runbook import Runbook, runbooks
from gtapi.text import pluralize
from inference.runbooks.check_client import CheckClient, CheckFailed, CheckSkipped
from inference.runbooks.checks import CHECKS, connect
from inference.runbooks.values import ANY_BASE_URL, generic_values, tenant_values
from tenants.models import Tenant


class Command(BaseCommand):
    help = (
        "Print a runbook as Markdown, with placeholders or a tenant's values, or run its checklist against a "
        "deployed gateway with the key in OPENAI_API_KEY. Exits with status 1 if a check fails."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", choices=sorted(runbooks()), help="the runbook")
        parser.add_argument("--tenant", default="", metavar="SLUG", help="fill in the values of this tenant")
        parser.add_argument(
            "--base-url",
            default="",
            metavar="URL",
            help="the base URL of the tenant (default: from its first host)",
        )
        parser.add_argument(
            "--model",
            default="",
            metavar="NAME",
            help="the model for chats (default: the first one that can chat)",
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--markdown", action="store_true", help="print it as Markdown (default)")
        what.add_argument("--check", action="store_true", help="run the checklist")

    def handle(self, *args: Any, **options: Any) -> None:
        runbook = runbooks()[options["slug"]]
        tenant = _tenant(options["tenant"])
        base_url = options["base_url"].rstrip("/") or _base_url(tenant)
        if options["check"]:
            self._check(runbook, tenant, base_url, options["model"])
            return
        values = tenant_values(tenant, base_url, options["model"]) if tenant else generic_values()
        try:
            self.stdout.write(markdown(render(runbook, values)), ending="")
        except ValueError as error:
            raise CommandError(f"{error}.") from None

    def _check(self, runbook: Runbook, tenant: Tenant | None, base_url: str, model: str) -> None:
        if tenant is None:
            raise CommandError("--check needs --tenant.")
        if base_url == ANY_BASE_URL:
            raise CommandError("--check needs --base-url: the tenant has no host.")
        plain = os.environ.get("OPENAI_API_KEY", "")
        if not plain:
            raise CommandError("Put a key of the tenant into OPENAI_API_KEY.")
        try:
            client = connect(tenant, base_url, plain, model)
        except CheckFailed as error:
            raise CommandError(str(error)) from None
        with client.http:
            verdicts = [self._line(line.check, line.text, client) for line in runbook.checklist]
        failed = verdicts.count("FAILED")
        if failed:
            raise CommandError(f"{failed} of {len(verdicts)} checks failed.")
        passed, skipped = verdicts.count("ok"), verdicts.count("skipped")
        self.stdout.write(
            f"{pluralize(passed, 'check')} passed" + (f", {skipped} skipped." if skipped else ".")
        )

    def _line(self, check: str, text: str, client: CheckClient) -> str:
        """Run one check, print what came of it and return its verdict."""
        try:
            verdict, said = "ok", CHECKS[check](client)
        except CheckSkipped as reason:
            verdict, said = "skipped", str(reason)
        except CheckFailed as reason:
            verdict, said = "FAILED", str(reason)
        self.stdout.write(f"{verdict:8} {text}\n         {said}")
        return verdict


def _tenant(slug: str) -> Tenant | None:
    if not slug:
        return None
    tenant = Tenant.objects.filter(slug=slug).first()
    if tenant is None:
        raise CommandError(f"There is no tenant {slug}.")
    return tenant


def _base_url(tenant: Tenant | None) -> str:
    """Return the base URL on a tenant's own host, as it is behind a proxy that ends TLS."""
    return f"https://{tenant.hosts[0]}/api/tenant" if tenant and tenant.hosts else ANY_BASE_URL
