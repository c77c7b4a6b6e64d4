"""Every admin page requires a login and the permission for it."""

import uuid

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import URLPattern, URLResolver, reverse

from tests import answers, factories
from tests.admin.conftest import url
from tests.browsing import Client

#: Pages without a login, and logout.
OPEN = {"login", "logout"}
#: Pages for all staff, which belong to no model.
FOR_ALL_STAFF = {"index", "search", "password_change", "password_change_done", "jsi18n", "autocomplete"}


def routes() -> list[tuple[str, int]]:
    """The names of the admin's URLs and the number of their arguments."""
    found = []

    def walk(patterns: list[URLPattern | URLResolver]) -> None:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns)
            elif pattern.name:
                found.append((pattern.name, len(pattern.pattern.converters)))

    walk(admin.site.get_urls())
    return found


ROUTES = [route for route in routes() if route[0] not in OPEN | {"app_list", "view_on_site"}]
ACTIONS = [
    "tenants_inferencekey_usage_page",
    "tenants_inferencekey_sees_page",
    "tenants_inferencekey_rotate_page",
    "tenants_inferencekey_revoke_page",
    "inference_provider_test_page",
    "inference_agent_publish_page",
    "inference_agent_unpublish_page",
    "inference_agent_restore_page",
    "inference_agent_versions_page",
    "files_dataset_search_page",
    "files_dataset_again_page",
    "files_datasetfile_again_page",
]
CHANGING = [
    name for name in ACTIONS if not name.endswith(("usage_page", "sees_page", "versions_page", "search_page"))
]


@pytest.fixture
def world(upstream) -> factories.World:
    made = factories.world(upstream.base_url)
    upstream.script(made.raw, answers.answer())
    made.support.instructions = "Answer at length."
    made.support.save()
    made.support.publish()
    return made


def address(name: str, world: factories.World) -> str:
    """The URL of a page of an object."""
    model = name.split("_")[1]
    if model in ("dataset", "datasetfile"):
        dataset_file = factories.dataset_file(factories.dataset(world.tenant))
        return url(name, dataset_file.dataset_id if model == "dataset" else dataset_file.pk)
    row = {"inferencekey": world.key.row, "provider": world.provider, "agent": world.support}[model]
    return url(name, row.pk)


def test_all_action_pages_are_listed():
    named = {name for name, _ in ROUTES if name.endswith("_page")}
    assert named == set(ACTIONS)


@pytest.mark.parametrize(("name", "arguments"), ROUTES, ids=[name for name, _ in ROUTES])
def test_anonymous_user_is_redirected_to_login(name, arguments):
    values = [str(uuid.uuid4())] * arguments
    response = Client().get(reverse(f"admin:{name}", args=values))
    assert response.status_code == 302
    assert response["location"].startswith(reverse("admin:login"))


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize("method", ["get", "post"])
def test_anonymous_user_cannot_use_actions(name, method, world):
    response = getattr(Client(), method)(address(name, world))
    assert response.status_code == 302
    assert response["location"].startswith(reverse("admin:login"))
    world.key.row.refresh_from_db()
    assert world.key.row.state == "active"


def test_user_who_is_not_staff_is_redirected_to_login(world):
    client = Client()
    client.force_login(User.objects.create_user(factories.unique("user")))
    response = client.get(address("tenants_inferencekey_sees_page", world))
    assert response.status_code == 302


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize("method", ["get", "post"])
def test_staff_without_permission_is_refused(name, method, staff, world):
    assert getattr(staff(), method)(address(name, world)).status_code == 403


@pytest.mark.parametrize("name", CHANGING)
@pytest.mark.parametrize("method", ["get", "post"])
def test_staff_with_view_permission_cannot_use_actions(name, method, staff, world):
    client = staff(*(f"{app}.view_{model}" for app, model, *_ in [name.split("_")]))
    assert getattr(client, method)(address(name, world)).status_code == 403


@pytest.mark.parametrize(
    ("name", "arguments"),
    [route for route in ROUTES if route[0] not in FOR_ALL_STAFF and route[1] == 0],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_staff_without_permissions_cannot_open_lists_and_forms(name, arguments, staff):
    assert staff().get(url(name)).status_code == 403


@pytest.mark.parametrize("name", CHANGING)
def test_form_without_csrf_token_is_refused(name, world):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser(factories.unique("operator")))
    assert client.post(address(name, world), {"confirm": "yes"}).status_code == 403
    world.key.row.refresh_from_db()
    assert world.key.row.state == "active"


@pytest.mark.parametrize("name", CHANGING)
def test_confirmation_page_changes_nothing(name, operator, world):
    before = (world.key.row.digest, world.support.live_id)
    assert operator.get(address(name, world)).status_code == 200
    world.key.row.refresh_from_db()
    world.support.refresh_from_db()
    assert (bytes(world.key.row.digest), world.support.live_id) == (bytes(before[0]), before[1])
    assert world.key.row.state == "active"


@pytest.mark.parametrize("name", ACTIONS)
def test_missing_object_is_404(name, operator):
    assert operator.get(url(name, 999_999_999)).status_code == 404


def test_login_page_names_the_product():
    response = Client().get(reverse("admin:login"))
    assert response.status_code == 200
    assert b"GT API" in response.content


def test_search_respects_permissions(operator, staff, world):
    def found(client) -> str:
        return client.get(url("search"), {"s": world.tenant.slug, "extended": "1"}).content.decode()

    assert url("tenants_tenant_change", world.tenant.pk) in found(operator)
    assert url("tenants_tenant_change", world.tenant.pk) not in found(staff("inference.view_agent"))


@pytest.mark.parametrize(
    ("address", "status", "message"),
    [("/admin/nothing/here/", 404, "Page not found"), ("/nothing", 404, "Page not found")],
)
def test_unknown_address_is_404(operator, address, status, message):
    response = operator.get(address)
    assert response.status_code == status
    assert message in response.content.decode()


def test_missing_permission_is_explained(staff, world):
    response = staff().get(address("inference_provider_test_page", world))
    assert "Your account does not have the required permission" in response.content.decode()
