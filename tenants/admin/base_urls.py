"""Where a tenant's clients send their requests."""

from django.http import HttpRequest

from tenants.models import Tenant, normalise_host

PREFIX = "/api/tenant"


def base_urls(tenant: Tenant, request: HttpRequest) -> list[str]:
    """Return the base URL on each of the tenant's hosts; on the host of ``request`` where it has none.

    Scheme and port are those under which the operator reaches the admin, as both are served by one process.
    """
    current = request.get_host()
    _, _, port = current.rpartition("]")[2].partition(":")
    suffix = f":{port}" if port else ""
    hosts = [host + suffix for host in tenant.hosts] or [current]
    # The host that the operator is on comes first: it is the one that is known to work.
    hosts.sort(key=lambda host: normalise_host(host) != normalise_host(current))
    return [f"{request.scheme}://{host}{PREFIX}" for host in hosts]
