"""The checks that the base of the authenticated views makes when a view is defined."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from tenants.views import AuthenticatedView


@pytest.mark.parametrize("attributes", [{"scope": "files:reed"}, {"scopes": {"POST": "files:rite"}}])
def test_misspelt_scope_of_a_view_fails_at_import(attributes):
    with pytest.raises(ImproperlyConfigured, match="Misspelt names unknown scopes: files:r"):
        type("Misspelt", (AuthenticatedView,), attributes)


def test_view_with_known_scopes_is_accepted():
    type("Spelt", (AuthenticatedView,), {"scope": "files:read", "scopes": {"POST": "files:write"}})
