"""Empty lists explain where their rows come from and link there."""

import pytest
from django.contrib import admin

from tenants.admin.base import GatewayAdmin
from tests import factories
from tests.admin.conftest import text, url

pytestmark = pytest.mark.django_db

OURS = {
    f"{model._meta.app_label}_{model._meta.model_name}": made
    for model, made in admin.site._registry.items()
    if isinstance(made, GatewayAdmin)
}
#: The lists with a link when empty: its target and text.
LINKED = {page: made.empty_link for page, made in OURS.items() if made.empty_link}


def test_every_list_has_a_text():
    assert len(OURS) == 11
    assert [page for page, made in OURS.items() if not made.empty_text] == []


@pytest.mark.parametrize("page", OURS)
def test_empty_list_shows_its_text_and_link(operator, page, monkeypatch):
    made = OURS[page]
    monkeypatch.setattr(type(made), "get_queryset", lambda self, request: self.model._default_manager.none())
    response = operator.get(url(f"{page}_changelist"))
    assert made.empty_text in text(response)
    assert "yielded" not in text(response)
    if page in LINKED:
        leads, label = LINKED[page]
        assert label in text(response)
        assert f'href="{url(f"{leads}_changelist")}"' in response.content.decode()


@pytest.mark.parametrize("page", LINKED)
def test_link_requires_the_permission(staff, page, monkeypatch):
    made = OURS[page]
    monkeypatch.setattr(type(made), "get_queryset", lambda self, request: self.model._default_manager.none())
    app, _, model = page.partition("_")
    response = staff(f"{app}.view_{model}").get(url(f"{page}_changelist"))
    assert made.empty_text in text(response)
    assert LINKED[page][1] not in text(response)


def test_filtered_list_without_rows_offers_to_show_all(operator, world):
    response = operator.get(url("tenants_tenant_changelist"), {"q": factories.unique("none")})
    assert "No tenants found" in text(response)
    assert "Show all" in text(response)
