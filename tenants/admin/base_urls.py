"""The base URLs of a tenant, as clients are configured with them."""

from django.http import HttpRequest

from tenants.models import Tenant, normalise_host

PREFIX = "/api/tenant"


def base_urls(tenant: Tenant, request: HttpRequest) -> list[str]:
    """Return the base URL on each of the tenant's hosts, or on the host of ``request`` if it has none.

    Scheme and port are those of the operator's request, since one process serves the API and the admin.
    """
    current = request.get_host()
    _, _, port = current.rpartition("]")[2].partition(":")
    suffix = f":{port}" if port else ""
    hosts = [host + suffix for host in tenant.hosts] or [current]
    # The operator's current host comes first: it is known to work.
    hosts.sort(key=lambda host: normalise_host(host) != normalise_host(current))
    return [f"{request.scheme}://{host}{PREFIX}" for host in hosts]
