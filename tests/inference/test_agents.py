"""Publishing makes immutable versions, and an earlier one is a single step away."""

import pytest
from django.core.exceptions import ValidationError

from files.models import Dataset
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent():
    return factories.world("http://127.0.0.1:9/v1").support


def test_publishing_an_unchanged_draft_creates_no_version(agent):
    assert agent.publish().number == 1
    assert agent.versions.count() == 1


def test_a_change_reaches_clients_only_when_it_is_published(agent):
    agent.instructions = "Answer in verse."
    agent.save()
    assert agent.has_unpublished_changes()
    assert agent.live.instructions == "Answer briefly."
    assert agent.publish(by="ada").number == 2
    assert agent.live.instructions == "Answer in verse."
    assert agent.live.published_by == "ada"
    assert not agent.has_unpublished_changes()


def test_a_changed_list_of_datasets_is_a_change(agent):
    agent.datasets.add(Dataset.objects.create(tenant=agent.tenant, name="handbook"))
    assert agent.has_unpublished_changes()


def test_deleted_dataset_is_not_a_change_and_is_reported_on_restore(agent):
    handbook, prices = (factories.dataset(agent.tenant, name) for name in ("handbook", "prices"))
    agent.datasets.set([handbook, prices])
    agent.publish()
    agent.datasets.clear()
    agent.publish()
    gone = handbook.pk
    handbook.delete()
    restored = agent.restore()
    assert restored.deleted_datasets() == [gone]
    assert list(agent.datasets.all()) == [prices]
    assert not agent.has_unpublished_changes()
    agent.datasets.clear()
    assert agent.has_unpublished_changes()
    # What is published now knows nothing of it any more.
    agent.datasets.set([prices])
    agent.instructions = "Answer in verse."
    agent.save()
    assert agent.has_unpublished_changes()
    assert agent.publish().dataset_ids == [prices.pk]


def test_retrieval_settings_are_versioned_and_restored(agent):
    agent.passages, agent.relevance, agent.unknown_answer = 3, 1, "Ask somebody else."
    agent.save()
    assert agent.has_unpublished_changes()
    version = agent.publish()
    assert (version.passages, version.relevance, version.unknown_answer) == (3, 1.0, "Ask somebody else.")
    # 1 and 1.0 are one number, though not in JSON.
    assert not agent.has_unpublished_changes()
    agent.restore()
    agent.refresh_from_db()
    assert (agent.passages, agent.relevance, agent.unknown_answer) == (5, 0.0, "")


def test_restoring_brings_back_the_version_before_the_live_one_and_its_draft(agent):
    agent.instructions = "Answer in verse."
    agent.parameters = {"temperature": 1}
    agent.save()
    agent.publish()
    assert agent.restore().number == 1
    agent.refresh_from_db()
    assert (agent.instructions, agent.parameters, agent.live.number) == ("Answer briefly.", {}, 1)
    with pytest.raises(ValidationError):
        agent.restore()


def test_version_numbers_continue_after_a_restore(agent):
    agent.instructions = "Answer in verse."
    agent.save()
    second = agent.publish()
    agent.restore()
    assert agent.restore(second).number == 2
    agent.instructions = "Answer in prose."
    agent.save()
    assert agent.publish().number == 3


def test_an_unpublished_agent_goes_back_to_its_newest_version(agent):
    agent.unpublish()
    assert not agent.published
    assert agent.restore().number == 1
    assert agent.published


def test_version_of_another_agent_cannot_be_restored(agent):
    other = factories.agent(agent.catalog, "other")
    with pytest.raises(ValidationError):
        agent.restore(other.live)


@pytest.mark.parametrize("parameters", [{"model": "x"}, {"messages": []}, {"stream": True}, []])
def test_reserved_parameters_are_refused(agent, parameters):
    agent.forced = parameters
    with pytest.raises(ValidationError, match=r"cannot be set|Enter a JSON object"):
        agent.full_clean()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "a\0b", object()])
def test_parameters_that_cannot_be_stored_are_refused(agent, value):
    agent.parameters = {"metadata": {"x": [value]}}
    with pytest.raises(ValidationError, match=r"valid JSON|NUL"):
        agent.full_clean()
