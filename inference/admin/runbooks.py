"""A tenant's runbooks: what its operator gives to the author of a client."""

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse

from gtapi.runbooks.render import markdown, render
from gtapi.runbooks.runbook import VERDICTS, runbooks
from inference.runbooks.values import published, tenant_values
from tenants.admin.base import GatewayAdmin
from tenants.admin.base_urls import base_urls
from tenants.models import Tenant

NAME = "tenant_runbook"


def runbook_page(request: HttpRequest, object_id: str, slug: str) -> HttpResponse:
    """Show a runbook with a tenant's values, for one of its names; or answer with it as Markdown."""
    tenants: GatewayAdmin[Tenant] = admin.site.get_model_admin(Tenant)  # type: ignore[assignment]
    tenant = tenants.fetch(request, object_id, "view")
    runbook = runbooks().get(slug)
    if runbook is None:
        raise Http404("There is no such runbook.")
    names = [target.name for target in published(tenant) if "chat" in target.capabilities]
    asked = request.GET.get("model", "")
    values = tenant_values(tenant, base_urls(tenant, request)[0], asked if asked in names else "")
    rendered = render(runbook, values)
    if request.GET.get("format") == "markdown":
        name = f"{tenant.slug}-{slug}.md"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return HttpResponse(markdown(rendered), content_type="text/markdown; charset=utf-8", headers=headers)
    return tenants.page(
        request,
        "admin/tenants/tenant/runbook.html",
        f"Runbook: {runbook.title}",
        tenant,
        rendered=rendered,
        runbook=rendered.runbook,
        verdicts=VERDICTS,
        names=names,
        others=[
            (other.title, address(tenant, other.slug))
            for other in runbooks().values()
            if other is not runbook
        ],
        may_add_key=request.user.has_perm("tenants.add_inferencekey"),
    )


def address(tenant: Tenant, slug: str) -> str:
    """Return where a tenant's runbook is."""
    return reverse(NAME, args=[tenant.pk, slug])


#: They stand before the admin's own addresses, which take everything under a tenant for themselves.
urlpatterns = [
    path(
        "tenants/tenant/<str:object_id>/runbooks/<slug:slug>/", admin.site.admin_view(runbook_page), name=NAME
    ),
]
