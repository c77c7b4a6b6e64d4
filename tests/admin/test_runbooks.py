"""A tenant's runbook in the admin."""

import pytest
from django.urls import reverse

from gtapi.runbooks.runbook import runbooks
from inference.runbooks.values import ANY_MODEL
from tests import factories
from tests.admin.conftest import text, url
from tests.browsing import Client

pytestmark = pytest.mark.django_db


def page(tenant, slug: str = "openai-sdk-curl", query: str = "") -> str:
    return reverse("tenant_runbook", args=[tenant.pk, slug]) + query


@pytest.fixture
def tenant(upstream):
    made = factories.world(upstream.base_url)
    made.tenant.hosts = ["ai.acme.example"]
    made.tenant.save()
    return made


def test_tenant_page_links_to_the_runbook(operator, tenant):
    summary = operator.get(url("tenants_tenant_change", tenant.tenant.pk)).content.decode()
    assert page(tenant.tenant) in summary


def test_runbook_contains_the_tenants_values(operator, tenant):
    shown = operator.get(page(tenant.tenant))
    page_text = text(shown)
    assert shown.status_code == 200
    assert "http://ai.acme.example/api/tenant" in page_text
    assert '"model": "support"' in page_text
    assert "OpenAI-compatible chat client" in page_text
    assert "not available yet" not in page_text
    assert f"--tenant {tenant.tenant.slug} --check" in page_text
    assert tenant.raw not in page_text
    assert shown.content.decode().count("data-copy") >= 6


def test_only_names_of_the_tenant_can_be_chosen(operator, tenant):
    assert '"model": "fast"' in text(operator.get(page(tenant.tenant, query="?model=fast")))
    forged = operator.get(page(tenant.tenant, query="?model=%3Cscript%3E"))
    assert '"model": "support"' in text(forged)
    assert "<script>&" not in forged.content.decode()


def test_runbook_can_be_downloaded_as_markdown(operator, tenant):
    response = operator.get(page(tenant.tenant, query="?format=markdown&model=fast"))
    assert response["content-type"].startswith("text/markdown")
    assert f"{tenant.tenant.slug}-openai-sdk-curl.md" in response["content-disposition"]
    assert 'model: "fast"' in response.content.decode()


def test_tenant_without_published_names_has_a_runbook(operator):
    bare = factories.tenant()
    page_text = text(operator.get(page(bare)))
    assert "has no published model with the chat capability" in page_text
    assert ANY_MODEL in page_text


@pytest.mark.parametrize("slug", runbooks())
def test_every_runbook_page_has_only_its_parts(operator, tenant, slug):
    page_text = text(operator.get(page(tenant.tenant, slug)))
    assert runbooks()[slug].title in page_text
    assert "{{" not in page_text
    assert "**" not in page_text
    assert ("Snippets" in page_text) == bool(runbooks()[slug].snippets)
    assert ("Caveats" in page_text) == bool(runbooks()[slug].caveats)


def test_runbook_requires_login_and_permission(tenant, staff):
    refused = Client().get(page(tenant.tenant))
    assert refused.status_code == 302
    assert "/admin/login/" in refused["location"]
    assert staff().get(page(tenant.tenant)).status_code == 403
    assert staff("tenants.view_tenant").get(page(tenant.tenant)).status_code == 200


def test_unknown_runbook_is_404(operator, tenant):
    assert operator.get(page(tenant.tenant, "no-such-runbook")).status_code == 404
    assert operator.get("/admin/tenants/tenant/0/runbooks/openai-sdk-curl/").status_code == 404
