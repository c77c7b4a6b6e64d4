"""Agents in the admin: drafts, publishing, versions and restoring."""

import pytest
from django.contrib.admin.models import LogEntry

from files.models import Dataset
from inference.models import Agent
from tests import factories
from tests.admin.conftest import fields, queries, said, text, url


@pytest.fixture
def versions(world) -> Agent:
    """The agent `support` with two versions and a draft that differs from both."""
    agent = world.support
    agent.instructions = "Answer at length."
    agent.save()
    agent.publish()
    agent.instructions = "Answer in verse."
    agent.save()
    return agent


def change(agent) -> str:
    return url("inference_agent_change", agent.pk)


def live(agent) -> int | None:
    """The number of the version that clients get."""
    agent.refresh_from_db()
    return agent.live.number if agent.live else None


class TestForm:
    def test_new_agent_is_shown_as_a_draft(self, operator, world):
        address = url("inference_agent_add", tenant=world.tenant.pk)
        data = {**fields(operator.get(address)), "name": "helper", "catalog": world.fast.pk}
        data |= {"instructions": "Help.", "parameters": '{"temperature": 0.2}', "forced": ""}
        response = operator.post(address, data, follow=True)
        agent = Agent.objects.get(tenant=world.tenant, name="helper")
        assert (agent.parameters, agent.forced, agent.live) == ({"temperature": 0.2}, {}, None)
        assert any("clients cannot reach it yet" in message for message in said(response))

    def test_agent_can_be_saved_and_published_in_one_step(self, operator, world):
        dataset = Dataset.objects.create(tenant=world.tenant, name="handbook")
        address = url("inference_agent_add", tenant=world.tenant.pk)
        data = {**fields(operator.get(address)), "name": "helper", "catalog": world.fast.pk, "_publish": "1"}
        operator.post(address, {**data, "datasets": [dataset.pk]})
        agent = Agent.objects.get(tenant=world.tenant, name="helper")
        assert live(agent) == 1
        assert agent.live.dataset_ids == [dataset.pk]

    @pytest.mark.parametrize(
        ("field", "value", "problem"),
        [
            ("parameters", '{"temperature": }', "This is not valid JSON: Expecting value: line 1 column 17"),
            ("parameters", '{"temperature": NaN}', "NaN is not valid JSON"),
            ("parameters", '{"a": ' * 5000 + "1" + "}" * 5000, "This is not valid JSON"),
            ("parameters", '{"stop": "\\u0000"}', "The database cannot store a NUL character."),
            ("parameters", "[1]", "Enter a JSON object of parameter names and values."),
            ("forced", '{"model": "x"}', "model cannot be set on an agent."),
        ],
    )
    def test_invalid_parameters_are_refused_with_the_reason(self, operator, world, field, value, problem):
        data = {**fields(operator.get(change(world.support))), field: value}
        response = operator.post(change(world.support), data)
        assert problem in text(response)
        assert response.context["adminform"].form[field].value() == value

    def test_datasets_of_a_draft_are_selected_and_published(self, operator, world):
        dataset = Dataset.objects.create(tenant=world.tenant, name="handbook")
        hidden = Dataset.objects.create(tenant=world.tenant, name="of-a-thread", hidden=True)
        page = operator.get(change(world.support))
        assert "handbook" in text(page)
        assert "of-a-thread" not in text(page)
        data = {**fields(page), "datasets": [dataset.pk], "passages": "3", "passage_tokens": "900"}
        data |= {"relevance": "0.5", "unknown_answer": "Ask HR."}
        assert (
            "datasets"
            in operator.post(change(world.support), {**data, "datasets": [hidden.pk]})
            .context["adminform"]
            .form.errors
        )
        operator.post(change(world.support), data)
        shown = text(operator.get(url("inference_agent_publish_page", world.support.pk)))
        for changed in ("handbook", "Minimum relevance", "0.5", "Answer when nothing is found", "Ask HR."):
            assert changed in shown
        world.support.refresh_from_db()
        version = world.support.publish()
        assert (version.passages, version.passage_tokens, version.relevance) == (3, 900, 0.5)

    @pytest.mark.parametrize(
        ("field", "value"),
        [("passages", "0"), ("passages", "51"), ("passage_tokens", "49"), ("relevance", "1.01")],
    )
    def test_out_of_range_values_are_refused(self, operator, world, field, value):
        data = {**fields(operator.get(change(world.support))), field: value}
        errors = operator.post(change(world.support), data).context["adminform"].form.errors
        assert set(errors) == {field}

    def test_saved_draft_does_not_affect_clients(self, operator, world):
        data = {**fields(operator.get(change(world.support))), "instructions": "Answer at length."}
        operator.post(change(world.support), data)
        assert live(world.support) == 1
        assert world.support.live.instructions == "Answer briefly."
        assert "unpublished changes" in text(operator.get(change(world.support)))

    def test_saving_an_unchanged_form_changes_nothing(self, operator, world):
        operator.post(change(world.support), fields(operator.get(change(world.support))))
        world.support.refresh_from_db()
        assert not world.support.has_unpublished_changes()

    def test_objects_of_another_tenant_are_neither_offered_nor_accepted(self, operator, world):
        other = factories.world("http://127.0.0.1:9/v1")
        theirs = Dataset.objects.create(tenant=other.tenant, name="theirs")
        page = operator.get(change(world.support))
        assert list(page.context["adminform"].form.fields["catalog"].queryset) == [world.fast]
        data = {**fields(page), "catalog": other.fast.pk, "datasets": [theirs.pk]}
        response = operator.post(change(world.support), data)
        assert set(response.context["adminform"].form.errors) == {"catalog", "datasets"}

    def test_entry_without_chat_capability_is_not_offered(self, operator, world):
        factories.catalog(world.provider, "embedder", capabilities=["embed"])
        page = operator.get(change(world.support))
        assert list(page.context["adminform"].form.fields["catalog"].queryset) == [world.fast]


class TestPublishing:
    def test_page_shows_the_changes_and_its_button_applies_them(self, operator, versions):
        page = text(operator.get(url("inference_agent_publish_page", versions.pk)))
        assert "Answer at length." in page
        assert "Answer in verse." in page
        response = operator.post(url("inference_agent_publish_page", versions.pk), follow=True)
        assert said(response) == ["Version 3 of support is live."]
        assert live(versions) == 3
        assert versions.live.published_by == response.context["user"].username

    def test_unpublished_agent_is_not_available_to_clients(self, operator, versions):
        response = operator.post(url("inference_agent_unpublish_page", versions.pk), follow=True)
        assert said(response) == ["support is unpublished."]
        assert live(versions) is None
        assert versions.versions.count() == 2

    def test_restore_reverts_to_the_previous_version(self, operator, versions):
        page = text(operator.get(url("inference_agent_restore_page", versions.pk)))
        assert "Restore version 1 of support" in page
        response = operator.post(
            url("inference_agent_restore_page", versions.pk), {"number": "1"}, follow=True
        )
        assert said(response) == ["Version 1 of support is live again."]
        assert live(versions) == 1
        assert versions.instructions == "Answer briefly."

    def test_any_version_can_be_restored(self, operator, versions):
        versions.publish()
        operator.post(url("inference_agent_restore_page", versions.pk), {"number": "1"})
        assert live(versions) == 1
        operator.post(url("inference_agent_restore_page", versions.pk), {"number": "3"})
        assert live(versions) == 3

    def test_confirmed_version_is_restored(self, operator, versions):
        versions.publish()
        page = operator.get(url("inference_agent_restore_page", versions.pk))
        assert page.context["hidden"] == [("number", "2")]
        versions.restore(versions.versions.get(number=1))
        operator.post(url("inference_agent_restore_page", versions.pk), dict(page.context["hidden"]))
        assert live(versions) == 2

    @pytest.mark.parametrize("number", ["99", "x", ""])
    def test_unknown_version_is_404(self, operator, versions, number):
        address = url("inference_agent_restore_page", versions.pk)
        assert operator.post(address, {"number": number}).status_code == 404
        assert live(versions) == 2

    def test_first_version_cannot_be_reverted(self, operator, world):
        response = operator.post(url("inference_agent_restore_page", world.support.pk), follow=True)
        assert said(response) == ["There is no earlier version to restore."]

    def test_version_with_a_deleted_entry_is_refused_with_a_message(self, operator, world, versions):
        versions.catalog = factories.catalog(world.provider, "other")
        versions.save()
        versions.publish()
        world.fast.delete()
        response = operator.post(
            url("inference_agent_restore_page", versions.pk), {"number": "1"}, follow=True
        )
        assert said(response) == ["The catalog entry of version 1 was deleted."]
        assert live(versions) == 3

    def test_restored_version_lists_its_deleted_datasets(self, operator, versions):
        handbook = factories.dataset(versions.tenant, "handbook")
        versions.datasets.set([handbook])
        versions.publish()
        versions.datasets.clear()
        versions.publish()
        gone = handbook.pk
        handbook.delete()
        address = url("inference_agent_restore_page", versions.pk)
        missing = f"1 dataset of it was deleted since and cannot be restored: {gone}."
        assert missing in text(operator.get(address))
        response = operator.post(address, {"number": "3"}, follow=True)
        assert said(response) == ["Version 3 of support is live again.", missing]
        assert "unpublished changes" not in text(response)

    def test_only_possible_actions_are_offered(self, operator, world):
        offered = {action["path"].split("/")[-2] for action in actions(operator, world.support)}
        assert offered == {"versions", "unpublish"}
        world.support.unpublish()
        offered = {action["path"].split("/")[-2] for action in actions(operator, world.support)}
        assert offered == {"versions", "publish", "restore"}

    def test_each_action_is_in_the_history(self, operator, versions):
        operator.post(url("inference_agent_publish_page", versions.pk))
        operator.post(url("inference_agent_restore_page", versions.pk), {"number": "1"})
        operator.post(url("inference_agent_unpublish_page", versions.pk))
        entries = LogEntry.objects.filter(object_id=str(versions.pk)).order_by("pk")
        assert [entry.get_change_message() for entry in entries] == [
            "Published version 3.",
            "Restored version 1.",
            "Unpublished.",
        ]


def actions(client, agent) -> list[dict]:
    return client.get(change(agent)).context["actions_detail"]


class TestVersions:
    def test_each_version_is_shown_with_its_changes(self, operator, versions):
        response = operator.get(url("inference_agent_versions_page", versions.pk))
        (second, changes), (first, all_of_it) = response.context["rows"]
        assert (second.number, first.number) == (2, 1)
        assert [(line.kind, line.text) for line in changes[0].lines] == [
            ("removed", "Answer briefly."),
            ("added", "Answer at length."),
        ]
        assert {change.field for change in all_of_it} == {"Catalog entry", "Instructions"}
        assert [change.field for change in response.context["draft_changes"]] == ["Instructions"]

    def test_live_version_has_no_restore_button(self, operator, versions):
        html = operator.get(url("inference_agent_versions_page", versions.pk)).content.decode()
        restore = url("inference_agent_restore_page", versions.pk)
        assert f"{restore}?number=1" in html
        assert f"{restore}?number=2" not in html

    def test_view_permission_shows_no_buttons(self, staff, versions):
        response = staff("inference.view_agent").get(url("inference_agent_versions_page", versions.pk))
        assert response.status_code == 200
        assert url("inference_agent_restore_page", versions.pk) not in response.content.decode()

    def test_text_of_operators_is_escaped(self, operator, world):
        world.support.instructions = "<script>alert(1)</script>"
        world.support.save()
        world.support.publish()
        html = operator.get(url("inference_agent_versions_page", world.support.pk)).content.decode()
        assert "<script>alert(1)" not in html
        assert "&lt;script&gt;alert(1)" in html


class TestList:
    def test_list_distinguishes_drafts_from_live_agents(self, operator, world, versions):
        factories.agent(world.fast, "draft", published=False)
        response = operator.get(url("inference_agent_changelist", tenant__id__exact=world.tenant.pk))
        page = text(response)
        assert "version 2 live" in page
        assert "unpublished changes" in page
        assert "not published" in page

    @pytest.mark.parametrize(
        ("state", "names"), [("live", {"same", "support"}), ("off", {"draft"}), ("dirty", {"support"})]
    )
    def test_list_can_be_filtered_by_state(self, operator, world, versions, state, names):
        factories.agent(world.fast, "draft", published=False)
        factories.agent(world.fast, "same")
        response = operator.get(
            url("inference_agent_changelist", tenant__id__exact=world.tenant.pk, state=state)
        )
        assert {agent.name for agent in response.context["cl"].result_list} == names

    def test_bulk_publish_shows_a_count(self, operator, world, versions):
        same = factories.agent(world.fast, "same")
        response = operator.post(
            url("inference_agent_changelist"),
            {"action": "publish_selected", "_selected_action": [versions.pk, same.pk]},
            follow=True,
        )
        assert said(response) == ["Published 1 agent. 1 had no changes."]
        assert live(versions) == 3

    def test_bulk_unpublish_asks_for_confirmation(self, operator, world, versions):
        data = {"action": "unpublish_selected", "_selected_action": [versions.pk]}
        page = operator.post(url("inference_agent_changelist"), data)
        assert "Unpublish 1 agent" in text(page)
        assert live(versions) == 2
        response = operator.post(url("inference_agent_changelist"), {**data, "confirm": "yes"}, follow=True)
        assert said(response) == ["Unpublished 1 agent."]
        assert live(versions) is None

    def test_twenty_rows_cost_as_many_queries_as_one(self, operator, world):
        dataset = Dataset.objects.create(tenant=world.tenant, name="handbook")
        world.support.datasets.add(dataset)
        address = url("inference_agent_changelist", tenant__id__exact=world.tenant.pk)
        operator.get(address)
        with queries() as one:
            operator.get(address)
        for number in range(19):
            factories.agent(world.fast, f"agent-{number}").datasets.add(dataset)
        with queries() as twenty:
            response = operator.get(address)
        assert len(response.context["cl"].result_list) == 20
        assert len(twenty) == len(one)
