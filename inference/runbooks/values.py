"""Values for rendering a runbook: a tenant's names and the routes of the gateway."""

from gtapi.runbooks.render import RunbookValues, ServedRoute
from inference.openapi.routes import routes
from inference.routing import Target, load_targets
from tenants.models import Tenant

#: Placeholders in a runbook without a tenant.
ANY_BASE_URL = "https://<tenant-host>/api/tenant"
ANY_MODEL = "<published-name>"


def generic_values() -> RunbookValues:
    """Return the values of a runbook for any tenant."""
    return RunbookValues(ANY_BASE_URL, ANY_MODEL, served([]))


def tenant_values(tenant: Tenant, base_url: str, model: str = "") -> RunbookValues:
    """Return a tenant's values, with ``model`` or else the name that a chat is best tried with."""
    targets = published(tenant)
    return RunbookValues(
        base_url, model or chat_name(targets) or ANY_MODEL, served(targets), tenant.name, tenant.slug
    )


def published(tenant: Tenant) -> list[Target]:
    """Return what a tenant offers to its keys: agents first, by name."""
    _, targets = load_targets(tenant.pk)
    found = [target for target in targets.values() if not target.unavailable]
    return sorted(found, key=lambda target: (target.kind != "agent", target.name))


def chat_name(targets: list[Target]) -> str:
    """Return the first name that can be chatted with, empty for none."""
    return next((target.name for target in targets if "chat" in target.capabilities), "")


def served(targets: list[Target]) -> dict[str, ServedRoute]:
    """Return the routes of the gateway, each with those of ``targets`` that can be called on it."""
    return {
        f"{route.method.upper()} /v1{route.path}": ServedRoute(
            route.scope,
            tuple(t.name for t in targets if route.capability and route.capability in t.capabilities),
        )
        for route in routes()
    }
