"""Lists without rows say where rows come from, and lead there."""

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
#: Lists that lead on when they are empty: to which one, and what the link says.
LEADING = {page: made.empty_link for page, made in OURS.items() if made.empty_link}


def test_every_list_says_where_its_rows_come_from():
    assert len(OURS) == 11
    assert [page for page, made in OURS.items() if not made.empty_text] == []


@pytest.mark.parametrize("page", OURS)
def test_an_empty_list_says_it(operator, page, monkeypatch):
    made = OURS[page]
    monkeypatch.setattr(type(made), "get_queryset", lambda self, request: self.model._default_manager.none())
    response = operator.get(url(f"{page}_changelist"))
    assert made.empty_text in text(response)
    assert "yielded" not in text(response)
    if page in LEADING:
        leads, label = LEADING[page]
        assert label in text(response)
        assert f'href="{url(f"{leads}_changelist")}"' in response.content.decode()


@pytest.mark.parametrize("page", LEADING)
def test_it_leads_nobody_where_they_may_not_go(staff, page, monkeypatch):
    made = OURS[page]
    monkeypatch.setattr(type(made), "get_queryset", lambda self, request: self.model._default_manager.none())
    app, _, model = page.partition("_")
    response = staff(f"{app}.view_{model}").get(url(f"{page}_changelist"))
    assert made.empty_text in text(response)
    assert LEADING[page][1] not in text(response)


def test_what_is_narrowed_down_to_nothing_can_be_seen_whole_again(operator, world):
    response = operator.get(url("tenants_tenant_changelist"), {"q": factories.unique("none")})
    assert "No tenants found" in text(response)
    assert "Show all" in text(response)
