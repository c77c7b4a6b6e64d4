"""A provider in the admin: its credentials are write-only, and a test lists its models."""

import pytest

from inference.models import Provider
from inference.providers import ADAPTERS
from tests import answers, factories
from tests.admin.conftest import fields, queries, text, url
from tests.providers.sample.tiny import Tiny

KEY = "sk-this-is-secret-7731"
TEAM, REGION = "blue-value-1198", "eu-value-5512"


@pytest.fixture
def provider() -> Provider:
    return factories.provider(
        factories.tenant(), "http://127.0.0.1:9/v1", api_key=KEY, headers={"X-Team": TEAM, "X-Region": REGION}
    )


def change(provider) -> str:
    return url("inference_provider_change", provider.pk)


def saved(client, provider, **data) -> Provider:
    """The provider after its form was saved with these changes."""
    response = client.post(change(provider), {**fields(client.get(change(provider))), **data})
    assert response.status_code == 302, response.context["adminform"].form.errors
    return Provider.objects.get(pk=provider.pk)


class TestCredentials:
    def test_no_page_shows_credentials(self, operator, provider):
        for address in (
            change(provider),
            url("inference_provider_changelist"),
            url("inference_provider_history", provider.pk),
            url("inference_provider_delete", provider.pk),
            url("inference_provider_test_page", provider.pk),
        ):
            html = operator.get(address).content.decode()
            assert not [secret for secret in (KEY, TEAM, REGION) if secret in html], address

    def test_view_only_staff_sees_that_credentials_are_stored(self, staff, provider):
        html = text(staff("inference.view_provider").get(change(provider)))
        assert not [secret for secret in (KEY, TEAM, REGION) if secret in html]
        assert "stored" in html
        assert "X-Region, X-Team" in html

    def test_header_names_are_shown(self, operator, provider):
        html = operator.get(change(provider)).content.decode()
        assert "X-Team" in html
        assert "stored, leave empty to keep" in html

    def test_empty_inputs_keep_stored_credentials(self, operator, provider):
        after = saved(
            operator, provider,
            **{"new_headers-name": ["X-Region", "X-Team", ""], "new_headers-value": ["", "", ""]},
        )  # fmt: skip
        assert after.api_key == KEY
        assert after.headers == {"X-Team": TEAM, "X-Region": REGION}

    def test_new_api_key_replaces_the_stored_one(self, operator, provider):
        assert saved(operator, provider, new_api_key="sk-another").api_key == "sk-another"

    def test_api_key_can_be_removed(self, operator, provider):
        after = saved(operator, provider, remove_api_key="on")
        assert after.api_key == ""
        assert "remove_api_key" not in operator.get(change(provider)).context["adminform"].form.fields

    def test_api_key_cannot_be_entered_and_removed_at_once(self, operator, provider):
        data = {**fields(operator.get(change(provider))), "new_api_key": "sk-another", "remove_api_key": "on"}
        response = operator.post(change(provider), data)
        assert "new_api_key" in response.context["adminform"].form.errors
        assert "sk-another" not in response.content.decode()
        assert Provider.objects.get(pk=provider.pk).api_key == KEY

    def test_headers_are_added_replaced_and_removed(self, operator, provider):
        after = saved(
            operator, provider,
            **{
                "new_headers-name": ["X-Region", "X-Team", "X-New"],
                "new_headers-value": ["", "green", "fresh"],
                "new_headers-remove": ["X-Region"],
            },
        )  # fmt: skip
        assert after.headers == {"X-Team": "green", "X-New": "fresh"}

    @pytest.mark.parametrize(
        ("name", "value", "problem"),
        [
            ("X-New", "", "X-New has no value"),
            ("", "orphan-value", "A header has no name"),
            ("bad name", "some-value", "This is not a valid HTTP header name"),
            ("Content-Type", "some-value", "Content-Type is set by the gateway"),
            ("x-team", "some-value", "x-team occurs twice"),
        ],
    )
    def test_invalid_header_is_refused_and_its_value_not_shown(
        self, operator, provider, name, value, problem
    ):
        data = {
            **fields(operator.get(change(provider))),
            "new_headers-name": ["X-Region", "X-Team", name],
            "new_headers-value": ["", "", value],
        }
        response = operator.post(change(provider), data)
        assert response.status_code == 200
        assert problem in text(response)
        assert not value or value not in response.content.decode()
        assert Provider.objects.get(pk=provider.pk).headers == {"X-Team": TEAM, "X-Region": REGION}

    def test_api_key_of_two_lines_is_refused(self, operator, provider):
        data = {**fields(operator.get(change(provider))), "new_api_key": "sk-one\nsk-two"}
        response = operator.post(change(provider), data)
        assert "An API key is one line." in text(response)


class TestNewProvider:
    def test_new_provider_is_stored_and_then_tested(self, operator):
        tenant = factories.tenant()
        address = url("inference_provider_add", tenant=tenant.pk)
        data = {**fields(operator.get(address)), "name": "main", "kind": "openai_compatible"}
        data |= {"base_url": "https://llm.example.com/v1/", "new_api_key": KEY}
        data |= {"new_headers-name": ["X-Team"], "new_headers-value": [TEAM]}
        response = operator.post(address, data)
        made = Provider.objects.get(tenant=tenant)
        assert response["location"] == url("inference_provider_test_page", made.pk)
        assert (made.base_url, made.api_key, made.headers) == (
            "https://llm.example.com/v1", KEY, {"X-Team": TEAM},
        )  # fmt: skip

    def test_duplicate_name_is_refused(self, operator, provider):
        address = url("inference_provider_add", tenant=provider.tenant.pk)
        data = {**fields(operator.get(address)), "name": provider.name, "kind": "openai_compatible"}
        response = operator.post(address, {**data, "base_url": "https://llm.example.com/v1"})
        assert "This tenant already has a provider with this name." in text(response)

    def test_every_adapter_is_offered(self, operator, monkeypatch):
        monkeypatch.setitem(ADAPTERS, "tiny", Tiny())
        page = operator.get(url("inference_provider_add", tenant=factories.tenant().pk))
        offered = page.context["adminform"].form.fields["kind"].choices
        assert list(offered) == [(kind, adapter.label) for kind, adapter in ADAPTERS.items()]

    def test_provider_without_a_network_needs_no_base_url(self, operator):
        tenant = factories.tenant()
        address = url("inference_provider_add", tenant=tenant.pk)
        data = {**fields(operator.get(address)), "name": "main", "kind": "fake", "base_url": ""}
        assert operator.post(address, data).status_code == 302
        provider = Provider.objects.get(tenant=tenant)
        result = operator.post(url("inference_provider_test_page", provider.pk))
        assert "It works." in text(result)
        assert "fake-embed" in text(result)

    def test_provider_with_a_network_needs_a_base_url(self, operator):
        address = url("inference_provider_add", tenant=factories.tenant().pk)
        data = {**fields(operator.get(address)), "name": "main", "kind": "openai_compatible", "base_url": ""}
        assert "A provider of this kind needs a base URL." in text(operator.post(address, data))

    def test_kind_without_an_adapter_is_refused(self, operator):
        address = url("inference_provider_add", tenant=factories.tenant().pk)
        data = {**fields(operator.get(address)), "name": "main", "kind": "unknown"}
        response = operator.post(address, {**data, "base_url": "https://llm.example.com/v1"})
        assert "kind" in response.context["adminform"].form.errors

    def test_tenant_of_a_provider_cannot_change(self, operator, provider):
        other = factories.tenant()
        assert saved(operator, provider, tenant=other.pk).tenant == provider.tenant


class TestTest:
    @pytest.fixture
    def upstream_path(self, upstream, provider) -> str:
        """The path of the model list of the test's provider."""
        prefix = factories.unique("provider")
        provider.base_url = f"http://127.0.0.1:{upstream.port}/{prefix}/v1"
        provider.save()
        return f"/{prefix}/v1/models"

    def test_request_has_the_stored_credentials(self, operator, provider, upstream, upstream_path):
        upstream.script(upstream_path, answers.answer({"data": []}))
        operator.post(url("inference_provider_test_page", provider.pk))
        asked = upstream.last(upstream_path)
        assert asked.header("authorization") == f"Bearer {KEY}"
        assert asked.header("x-team") == TEAM

    def test_opening_the_page_sends_no_request(self, operator, provider, upstream, upstream_path):
        upstream.script(upstream_path, answers.answer({"data": []}))
        assert operator.get(url("inference_provider_test_page", provider.pk)).status_code == 200
        assert upstream.received(upstream_path) == []

    def test_result_lists_models_and_their_catalog_entries(self, operator, provider, upstream, upstream_path):
        models = ["raw-chat", "text-embed-1", "raw-known"]
        upstream.script(upstream_path, answers.answer({"data": [{"id": model} for model in models]}))
        factories.catalog(provider, "known", model="raw-known")
        response = operator.post(url("inference_provider_test_page", provider.pk))
        page = text(response)
        assert "It works." in page
        assert all(model in page for model in models)
        assert "in the catalog as known" in page
        assert not [secret for secret in (KEY, TEAM, REGION) if secret in response.content.decode()]

    def test_model_can_be_added_to_the_catalog_from_the_result(
        self, operator, provider, upstream, upstream_path
    ):
        upstream.script(upstream_path, answers.answer({"data": [{"id": "org/text-embed 1"}]}))
        response = operator.post(url("inference_provider_test_page", provider.pk))
        (model, entry, link) = response.context["models"][0]
        assert (model, entry) == ("org/text-embed 1", None)
        page = operator.get(link)
        operator.post(link, fields(page))
        made = provider.catalog.get()
        assert (made.name, made.model, made.capabilities) == (
            "org/text-embed1",
            "org/text-embed 1",
            ["embed"],
        )

    def test_staff_without_permission_gets_no_link_to_add(self, staff, provider, upstream, upstream_path):
        upstream.script(upstream_path, answers.answer({"data": [{"id": "raw"}]}))
        client = staff("inference.view_provider", "inference.change_provider")
        response = client.post(url("inference_provider_test_page", provider.pk))
        assert response.context["models"] == [("raw", None, "")]

    @pytest.mark.parametrize(
        "play",
        [
            answers.answer({"error": "no"}, status=401),
            answers.answer("<html>", content_type="text/html"),
            answers.answer({"data": 7}),
        ],
        ids=["refused", "html", "nonsense"],
    )
    def test_faulty_provider_is_reported(self, operator, provider, upstream, upstream_path, play):
        upstream.script(upstream_path, play)
        response = operator.post(url("inference_provider_test_page", provider.pk))
        assert response.status_code == 200
        assert "It does not work." in text(response)

    def test_failed_test_says_what_to_check(self, operator, provider, upstream, upstream_path):
        upstream.script(upstream_path, answers.answer({"error": "Who are you?"}, status=401))
        response = operator.post(url("inference_provider_test_page", provider.pk))
        assert "Check its API key." in text(response)

    def test_unreachable_provider_is_reported(self, operator, provider):
        response = operator.post(url("inference_provider_test_page", provider.pk))
        assert "It does not work." in text(response)
        assert "Check its base URL" in text(response)
        assert KEY not in response.content.decode()


def test_query_count_is_independent_of_rows(operator, provider):
    address = url("inference_provider_changelist", tenant__id__exact=provider.tenant.pk)
    operator.get(address)
    with queries() as one:
        operator.get(address)
    for _ in range(19):
        factories.provider(provider.tenant, "http://127.0.0.1:9/v1")
    with queries() as twenty:
        response = operator.get(address)
    assert len(response.context["cl"].result_list) == 20
    assert len(twenty) == len(one)


def test_provider_in_use_cannot_be_deleted(operator, provider):
    factories.catalog(provider, "fast")
    address = url("inference_provider_delete", provider.pk)
    assert f"{provider.name} cannot be deleted while this is using it." in text(operator.get(address))
    operator.post(address, {"post": "yes"})
    assert Provider.objects.filter(pk=provider.pk).exists()
