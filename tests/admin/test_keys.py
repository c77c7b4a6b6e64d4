"""Keys in the admin: creation, changes, effective access, rotation and revocation."""

import json
import shlex
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.utils import timezone

from files.models import Dataset
from tenants import keys
from tenants.models import InferenceKey, KeyActivity
from tests import factories
from tests.admin.conftest import fields, queries, said, text, url


@pytest.fixture
def form(world) -> dict:
    """What a browser sends for a new key."""
    return {
        "name": factories.unique("key"),
        "preset": "openai-chat-client",
        "allow": [world.support.pk, world.fast.pk],
    }


def add(client, world, form):
    return client.post(url("tenants_inferencekey_add", tenant=world.tenant.pk), form)


def made(world, form) -> InferenceKey:
    return InferenceKey.objects.get(tenant=world.tenant, name=form["name"])


def shown(response) -> str:
    """The key on the page that shows it."""
    return response.context["plain"]


class TestNewKey:
    def test_created_key_is_shown_in_full_and_works(self, operator, world, form):
        response = add(operator, world, form)
        assert response.status_code == 200
        plain = shown(response)
        assert plain in response.content.decode()
        key = made(world, form)
        assert keys.public_id(plain) == key.public_id
        assert keys.matches(plain, bytes(key.digest))

    def test_page_with_the_key_is_not_cacheable(self, operator, world, form):
        response = add(operator, world, form)
        assert "no-store" in response["Cache-Control"]
        assert shown(response) not in response.request["PATH_INFO"]

    def test_plain_key_is_not_shown_again(self, operator, world, form):
        plain = shown(add(operator, world, form))
        secret = plain.rpartition("_")[2]
        key = made(world, form)
        for page in (
            url("tenants_inferencekey_change", key.pk),
            url("tenants_inferencekey_changelist"),
            url("tenants_inferencekey_sees_page", key.pk),
            url("tenants_inferencekey_history", key.pk),
            url("index"),
        ):
            assert secret not in operator.get(page).content.decode(), page
        assert not any(secret in str(session.get_decoded()) for session in Session.objects.all())
        assert not any(secret in value.value for value in operator.cookies.values())
        entries = LogEntry.objects.filter(object_id=str(key.pk))
        assert entries
        assert not any(secret in entry.change_message + entry.object_repr for entry in entries)

    def test_resubmitting_the_form_creates_no_second_key(self, operator, world, form):
        add(operator, world, form)
        response = add(operator, world, form)
        assert "This tenant already has an active key with this name." in text(response)
        assert "plain" not in response.context

    def test_created_key_has_preset_and_selected_scopes(self, operator, world, form):
        add(operator, world, {**form, "scopes": ["files:read", "inference:chat"]})
        assert made(world, form).scopes == ["models:read", "inference:chat", "files:read"]

    def test_selected_scopes_are_stored_exactly(self, operator, world, form):
        add(operator, world, {**form, "preset": "custom", "scopes": ["inference:embed"]})
        assert made(world, form).scopes == ["inference:embed"]

    def test_key_without_scopes_is_refused(self, operator, world, form):
        response = add(operator, world, {**form, "preset": "custom"})
        assert "Choose a kind of client, or at least one scope." in text(response)

    def test_unknown_scope_is_refused(self, operator, world, form):
        response = add(operator, world, {**form, "scopes": ["everything:everywhere"]})
        assert response.context["adminform"].form.errors["scopes"]

    def test_created_key_has_the_selected_grants(self, operator, world, form):
        dataset = Dataset.objects.create(tenant=world.tenant, name="handbook")
        add(operator, world, {**form, "datasets": [dataset.pk]})
        key = made(world, form)
        assert set(key.grants.values_list("target_id", flat=True)) == {world.support.pk, world.fast.pk}
        assert list(key.dataset_grants.values_list("dataset_id", flat=True)) == [dataset.pk]

    def test_names_of_another_tenant_are_neither_offered_nor_accepted(self, operator, world, form):
        other = factories.world("http://127.0.0.1:9/v1")
        theirs = Dataset.objects.create(tenant=other.tenant, name="theirs")
        page = operator.get(url("tenants_inferencekey_add", tenant=world.tenant.pk))
        offered = {
            pk for _, group in page.context["adminform"].form.fields["allow"].choices for pk, _ in group
        }
        assert offered == {world.support.pk, world.fast.pk}
        response = add(operator, world, {**form, "allow": [other.fast.pk], "datasets": [theirs.pk]})
        assert set(response.context["adminform"].form.errors) == {"allow", "datasets"}
        assert not InferenceKey.objects.filter(name=form["name"]).exists()

    def test_expiry_in_the_past_is_refused(self, operator, world, form):
        response = add(operator, world, {**form, "expires_at_0": "2020-01-01", "expires_at_1": "00:00"})
        assert "To end a key now, revoke it" in text(response)

    def test_expiry_is_stored(self, operator, world, form):
        add(operator, world, {**form, "expires_at_0": "2099-01-01", "expires_at_1": "12:00:00"})
        assert f"{made(world, form).expires_at:%Y-%m-%d %H:%M}" == "2099-01-01 12:00"

    def test_tenant_is_required(self, operator, world):
        factories.tenant()
        response = operator.get(url("tenants_inferencekey_add"))
        assert "For which tenant?" in text(response)
        assert f"?tenant={world.tenant.pk}" in response.content.decode()


class TestSnippets:
    def test_snippets_contain_the_key_an_agent_and_the_base_url(self, operator, world, form):
        response = add(operator, world, form)
        plain = shown(response)
        snippets = {snippet.slug: snippet.code for snippet in response.context["code_samples"]}
        assert set(snippets) == {"curl", "python", "node"}
        for code in snippets.values():
            assert plain in code
            assert '"support"' in code
            assert "http://testserver/api/tenant" in code

    def test_base_url_uses_the_tenants_host(self, operator, world, form):
        world.tenant.hosts = ["ai.example.com", "other.example.com"]
        world.tenant.save()
        response = operator.post(url("tenants_inferencekey_add", tenant=world.tenant.pk), form, secure=True)
        assert response.context["base_url"] == "https://ai.example.com/api/tenant"
        assert "https://ai.example.com/api/tenant/v1/chat/completions" in response.content.decode()

    def test_curl_snippet_is_valid_shell(self, operator, world, form):
        code = add(operator, world, form).context["code_samples"][0].code
        words = shlex.split(code.replace("\\\n", " "))
        assert words[0] == "curl"
        assert json.loads(words[words.index("-d") + 1])["model"] == "support"

    def test_python_snippet_is_valid_python(self, operator, world, form):
        code = add(operator, world, form).context["code_samples"][1].code
        compile(code, "snippet", "exec")

    @pytest.mark.parametrize(
        ("capability", "scope", "path"),
        [
            ("embed", "inference:embed", "/v1/embeddings"),
            ("speech", "inference:speech", "/v1/audio/speech"),
            ("transcribe", "inference:transcribe", "/v1/audio/transcriptions"),
            ("image", "inference:image", "/v1/images/generations"),
            ("moderate", "inference:moderate", "/v1/moderations"),
            ("rerank", "inference:rerank", "/v1/rerank"),
        ],
    )
    def test_snippet_matches_the_capability_of_the_key(self, operator, world, form, capability, scope, path):
        entry = factories.catalog(world.provider, "special", capabilities=[capability])
        response = add(operator, world, {**form, "preset": "custom", "scopes": [scope], "allow": [entry.pk]})
        curl, python, node = (snippet.code for snippet in response.context["code_samples"])
        assert path in curl
        assert "special" in curl
        compile(python, "snippet", "exec")
        assert '"special"' in python
        assert '"special"' in node

    def test_key_without_models_gets_a_model_list_snippet(self, operator, world, form):
        response = add(operator, world, {**form, "allow": []})
        assert "/api/tenant/v1/models" in response.context["code_samples"][0].code

    def test_key_without_scopes_is_explained(self, operator, world, form):
        response = add(operator, world, {**form, "preset": "custom", "scopes": ["files:read"], "allow": []})
        assert response.context["code_samples"] == []
        assert "This key may call nothing yet" in text(response)


class TestChange:
    def test_saving_an_unchanged_form_changes_nothing(self, operator, world):
        page = operator.get(url("tenants_inferencekey_change", world.key.row.pk))
        response = operator.post(url("tenants_inferencekey_change", world.key.row.pk), fields(page))
        assert response.status_code == 302
        after = InferenceKey.objects.get(pk=world.key.row.pk)
        assert set(after.scopes) == set(world.key.row.scopes)
        assert bytes(after.digest) == bytes(world.key.row.digest)
        assert after.grants.count() == 2

    def test_grant_can_be_removed_from_a_key(self, operator, world):
        address = url("tenants_inferencekey_change", world.key.row.pk)
        data = {**fields(operator.get(address)), "allow": [str(world.fast.pk)]}
        operator.post(address, data)
        assert list(world.key.row.grants.values_list("target_id", flat=True)) == [world.fast.pk]

    def test_tenant_of_a_key_cannot_change(self, operator, world):
        other = factories.tenant()
        address = url("tenants_inferencekey_change", world.key.row.pk)
        operator.post(address, {**fields(operator.get(address)), "tenant": other.pk})
        world.key.row.refresh_from_db()
        assert world.key.row.tenant == world.tenant

    def test_page_does_not_contain_the_secret_or_its_digest(self, operator, world):
        html = operator.get(url("tenants_inferencekey_change", world.key.row.pk)).content.decode()
        assert world.key.row.public_id in html
        assert world.key.plain not in html
        assert bytes(world.key.row.digest).hex() not in html


class TestRevocation:
    def test_revocation_is_confirmed_and_final(self, operator, world):
        address = url("tenants_inferencekey_revoke_page", world.key.row.pk)
        assert "This cannot be undone" in text(operator.get(address))
        response = operator.post(address, {"confirm": "yes"}, follow=True)
        assert said(response) == [f"Revoked the key {world.key.row.name}."]
        world.key.row.refresh_from_db()
        assert world.key.row.state == "revoked"

    def test_revoked_key_cannot_be_changed(self, operator, world):
        world.key.row.revoke()
        address = url("tenants_inferencekey_change", world.key.row.pk)
        page = operator.get(address)
        assert page.status_code == 200
        assert 'name="_save"' not in page.content.decode()
        assert operator.post(address, {"name": "other", "preset": "everything"}).status_code == 403
        world.key.row.refresh_from_db()
        assert world.key.row.name != "other"

    @pytest.mark.parametrize("page", ["revoke", "rotate"])
    def test_revoked_key_cannot_be_revoked_or_rotated(self, operator, world, page):
        world.key.row.revoke()
        assert operator.post(url(f"tenants_inferencekey_{page}_page", world.key.row.pk)).status_code == 403

    def test_bulk_revocation_confirms_with_a_count(self, operator, world):
        chosen = [factories.key(world.tenant).row for _ in range(3)]
        chosen[0].revoke()
        data = {"action": "revoke_selected", "_selected_action": [key.pk for key in chosen]}
        page = operator.post(url("tenants_inferencekey_changelist"), data)
        assert "Revoke 2 keys" in text(page)
        assert all(str(key) in text(page) for key in chosen[1:])
        assert InferenceKey.objects.filter(pk__in=[key.pk for key in chosen]).live().count() == 2
        response = operator.post(
            url("tenants_inferencekey_changelist"), {**data, "confirm": "yes"}, follow=True
        )
        assert said(response) == ["Revoked 2 keys. 1 was revoked already."]
        assert not InferenceKey.objects.filter(pk__in=[key.pk for key in chosen]).live().exists()

    def test_view_permission_does_not_allow_bulk_revocation(self, staff, world):
        data = {
            "action": "revoke_selected",
            "_selected_action": [world.key.row.pk],
            "confirm": "yes",
        }
        staff("tenants.view_inferencekey").post(url("tenants_inferencekey_changelist"), data)
        world.key.row.refresh_from_db()
        assert world.key.row.state == "active"


class TestNewSecret:
    def test_rotated_secret_is_shown_once_and_the_old_one_is_void(self, operator, world):
        address = url("tenants_inferencekey_rotate_page", world.key.row.pk)
        assert "stops working within a second" in text(operator.get(address))
        response = operator.post(address)
        assert response.status_code == 200
        assert "no-store" in response["Cache-Control"]
        world.key.row.refresh_from_db()
        assert keys.matches(shown(response), bytes(world.key.row.digest))
        assert not keys.matches(world.key.plain, bytes(world.key.row.digest))
        assert world.key.row.grants.count() == 2


class TestSight:
    def test_every_name_is_allowed_or_has_a_reason(self, operator, world):
        draft = factories.agent(world.fast, "draft", published=False)
        factories.catalog(world.provider, "elsewhere")
        embedder = factories.catalog(world.provider, "embedder", capabilities=["embed"])
        world.key.row.scopes = ["models:read", "inference:chat", "inference:embed"]
        world.key.row.save()
        factories.grant(world.key.row, draft, embedder)
        response = operator.get(url("tenants_inferencekey_sees_page", world.key.row.pk))
        rows = {
            target.name: (allowed, dict(refused)) for target, allowed, refused in response.context["rows"]
        }
        assert rows["support"][0] == rows["fast"][0] == ["/chat/completions", "/completions"]
        assert rows["fast"][1] == {"it cannot do that": ["/embeddings"]}
        assert rows["embedder"][0] == ["/embeddings"]
        assert rows["draft"][0] == []
        assert "the agent is not published" in rows["draft"][1]
        assert "the name is not on the key's allowlist" in rows["elsewhere"][1]
        assert "/audio/speech inference:speech" in text(response)

    def test_revoked_key_has_no_access(self, operator, world):
        world.key.row.revoke()
        response = operator.get(url("tenants_inferencekey_sees_page", world.key.row.pk))
        assert "Nothing: the key is revoked." in text(response)
        assert response.context["callable_count"] == 0


class TestUsage:
    def test_key_page_links_to_its_usage(self, operator, staff, world):
        address = url("tenants_inferencekey_usage_page", world.key.row.pk)
        led = operator.get(address)
        assert led["location"] == url("tenants_usagerecord_changelist", key=world.key.row.pk)
        page = url("tenants_inferencekey_change", world.key.row.pk)
        assert address in operator.get(page).content.decode()
        may_not = staff("tenants.view_inferencekey")
        assert may_not.get(address).status_code == 403
        assert address not in may_not.get(page).content.decode()

    def test_unused_key_is_marked(self, operator, world):
        assert "Last used never" in text(operator.get(url("tenants_inferencekey_change", world.key.row.pk)))


class TestList:
    def test_list_columns_identify_keys(self, operator, world):
        KeyActivity.objects.create(key=world.key.row, last_used_at=timezone.now() - timedelta(hours=2))
        factories.key(world.tenant, name="idle", scopes=["models:read", "inference:chat"])
        response = operator.get(url("tenants_inferencekey_changelist", tenant__id__exact=world.tenant.pk))
        page = text(response)
        assert "2\xa0hours ago" in response.content.decode() or "2 hours ago" in page
        assert "OpenAI-compatible chat client" in page
        assert "nothing" in page
        assert "never" in page

    @pytest.mark.parametrize("state", ["active", "expired", "revoked", "unused", "expiring"])
    def test_list_can_be_filtered_by_state(self, operator, world, state):
        now = timezone.now()
        rows = {
            name: factories.key(world.tenant, name=name).row
            for name in ("active", "expired", "revoked", "expiring")
        }
        KeyActivity.objects.bulk_create(KeyActivity(key=row, last_used_at=now) for row in rows.values())
        InferenceKey.objects.filter(pk=rows["expired"].pk).update(expires_at=now - timedelta(days=1))
        InferenceKey.objects.filter(pk=rows["expiring"].pk).update(expires_at=now + timedelta(days=3))
        rows["revoked"].revoke()
        expected = {
            "active": {"active", "expiring", world.key.row.name},
            "unused": {world.key.row.name},
        }.get(state, {state})
        response = operator.get(
            url("tenants_inferencekey_changelist", tenant__id__exact=world.tenant.pk, state=state)
        )
        assert {key.name for key in response.context["cl"].result_list} == expected

    @pytest.mark.parametrize("pasted", ["whole", "start"])
    def test_search_for_a_plain_key_finds_its_row(self, operator, world, pasted):
        term = world.key.plain if pasted == "whole" else f"gtak_{world.key.row.public_id}…"
        response = operator.get(url("tenants_inferencekey_changelist"), {"q": term})
        assert [key.pk for key in response.context["cl"].result_list] == [world.key.row.pk]

    def test_twenty_rows_cost_as_many_queries_as_one(self, operator, world):
        address = url("tenants_inferencekey_changelist", tenant__id__exact=world.tenant.pk)
        operator.get(address)
        with queries() as one:
            operator.get(address)
        for _ in range(19):
            row = factories.key(world.tenant, [world.fast]).row
            KeyActivity.objects.create(key=row, last_used_at=timezone.now())
        with queries() as twenty:
            response = operator.get(address)
        assert len(response.context["cl"].result_list) == 20
        assert len(twenty) == len(one)

    def test_key_of_an_inactive_tenant_is_not_shown_as_active(self, operator, world):
        world.tenant.active = False
        world.tenant.save()
        response = operator.get(url("tenants_inferencekey_changelist", tenant__id__exact=world.tenant.pk))
        assert "Tenant off" in text(response)
