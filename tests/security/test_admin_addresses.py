"""Invalid values in URLs of the admin."""

import pytest
from django.contrib.auth.models import User

from tests import factories
from tests.admin.conftest import operator, staff  # noqa: F401 - fixtures
from tests.browsing import Client

pytestmark = pytest.mark.django_db
PAGES = (
    "tenants/tenant", "tenants/inferencekey", "inference/provider", "inference/catalogentry", "inference/agent",
    "tenants/usagerecord", "files/dataset",
)  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("odd", ["1'", "x", "9" * 30, "_2e", "-1"])
def test_an_id_that_is_none_leads_nowhere(operator, staff, page, odd):  # noqa: F811
    for client in (operator, staff()):
        for ending in ("change", "delete", "history"):
            assert client.get(f"/admin/{page}/{odd}/{ending}/").status_code in (302, 403, 404)


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example", ""])
def test_a_log_in_leads_to_the_admin_and_to_no_other_site(target):
    user = User.objects.create_superuser(factories.unique("operator"), password="a-long-password-1")
    response = Client().post(
        f"/admin/login/?next={target}",
        {"username": user.username, "password": "a-long-password-1", "next": target},
    )
    assert response.status_code == 302
    assert response["location"] in ("/admin/", "/admin/login/")
