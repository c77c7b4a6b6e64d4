"""Deleting a file removes its text from the explanations of requests, in every way of deletion."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from files.models import DatasetFile, File
from inference.chat import conversations
from inference.models import Conversation, ExplainedText, Explanation
from tests import factories
from tests.admin.conftest import text
from tests.wire import chat

SECRET = "Holidays are 28 days a year."
HEADING = "Annex of the board"


@pytest.fixture
def recorded(world):
    world.tenant.record_answers = True
    world.tenant.save()


@pytest.fixture
def shelf(world):
    """A dataset that is granted to the test's key."""
    return factories.dataset(world.tenant, keys=[world.key.row])


def fill(into, said: str, filename: str = "handbook.md") -> str:
    """A ready file with one chunk; returns its id."""
    dataset_file = factories.dataset_file(into, filename=filename, chunk_count=1)
    factories.chunk(dataset_file, said, heading=HEADING if said == SECRET else "")
    return dataset_file.file_id


def guide(world, *datasets) -> None:
    """An agent with these datasets, which the test's key may call."""
    made = factories.agent(world.fast, "guide", published=False)
    made.datasets.set(datasets)
    made.publish()
    factories.grant(world.key.row, made)


def why(operator, request_id: str) -> str:
    response = operator.get(f"/admin/inference/explanation/why/{request_id}/", follow=True)
    assert response.status_code == 200
    return text(response)


def asked(http, model: str = "guide", **headers: str) -> str:
    """Ask, and return the request's id."""
    question = [{"role": "user", "content": "Holidays: how many days?"}]
    response = http.post("/chat/completions", json=chat(model, messages=question), headers=headers)
    assert response.status_code == 200, response.text
    return response.headers["x-request-id"]


def check_gone(operator, request_id: str, file_id: str) -> None:
    """Assert that the explanation has lost the file's text and kept everything else."""
    row = Explanation.objects.get(request_id=request_id)
    assert file_id in [one["file_id"] for one in row.passages]
    assert SECRET not in str([row.passages, *row.texts.values()])
    shown = why(operator, request_id)
    assert SECRET not in shown
    assert HEADING not in shown
    for words in ("Deleted with its file", "handbook.md", "relevance"):
        assert words in shown


def by_raw_sql(http, shelf, dataset_file):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM files_datasetfile WHERE id = %s", [dataset_file.pk])


@pytest.mark.parametrize(
    "delete",
    [
        lambda http, shelf, dataset_file: http.delete(f"/files/{dataset_file.file_id}"),
        lambda http, shelf, dataset_file: http.delete(f"/datasets/{shelf.pk}/files/{dataset_file.file_id}"),
        lambda http, shelf, dataset_file: http.delete(
            f"/vector_stores/{shelf.pk}/files/{dataset_file.file_id}"
        ),
        lambda http, shelf, dataset_file: http.delete(f"/datasets/{shelf.pk}"),
        lambda http, shelf, dataset_file: http.delete(f"/vector_stores/{shelf.pk}"),
        by_raw_sql,
    ],
    ids=["file", "dataset_file", "store-file", "dataset", "store", "sql"],
)
def test_texts_are_deleted_with_their_file(http, world, operator, recorded, shelf, delete):
    other = factories.dataset(world.tenant)
    kept = fill(other, "Holidays of the other handbook.", "other.md")
    gone = fill(shelf, SECRET)
    guide(world, shelf, other)
    request_id = asked(http)
    for words in (SECRET, HEADING, "Holidays of the other handbook."):
        assert words in why(operator, request_id)
    answer = delete(http, shelf, DatasetFile.objects.get(file=gone))
    assert answer is None or answer.status_code == 200, answer.text
    check_gone(operator, request_id, gone)
    shown = why(operator, request_id)
    assert "Holidays of the other handbook." in shown
    row = Explanation.objects.get(request_id=request_id)
    assert [one.dataset_file.file_id for one in row.texts.all()] == [kept]


@pytest.mark.parametrize("how", ["api", "key", "admin"])
def test_texts_are_deleted_with_their_conversation(http, world, operator, recorded, how):
    thread = factories.conversation(world.key)
    thread.dataset = factories.dataset(world.tenant, hidden=True)
    thread.save()
    gone = fill(thread.dataset, SECRET)
    request_id = asked(http, "fast", **{"x-gt-conversation-id": thread.pk})
    assert SECRET in why(operator, request_id)
    if how == "api":
        assert http.delete(f"/conversations/{thread.pk}").status_code == 200
    elif how == "admin":
        conversations.remove(Conversation.objects.get(pk=thread.pk))
    else:
        world.key.row.delete()
        thread.dataset.delete()
    check_gone(operator, request_id, gone)


def test_texts_are_deleted_with_their_explanation(shelf):
    row = explained(factories.dataset_file(shelf))
    (said,) = row.texts.all()
    row.delete()
    assert not ExplainedText.objects.filter(pk=said.pk).exists()


def test_texts_and_explanations_are_deleted_with_their_tenant(upstream):
    stranger = factories.world(upstream.base_url)
    row = explained(factories.dataset_file(factories.dataset(stranger.tenant)))
    (said,) = row.texts.all()
    stranger.tenant.delete()
    assert not Explanation.objects.filter(pk=row.pk).exists()
    assert not ExplainedText.objects.filter(pk=said.pk).exists()


def explained(dataset_file, **fields) -> Explanation:
    row = Explanation(
        request_id=factories.unique("req"), tenant=dataset_file.tenant, key_id=1, model="guide", query="?",
        passages=[
            {"file_id": dataset_file.file_id, "dataset_id": dataset_file.dataset_id, "heading": HEADING, "text": SECRET, **fields}
        ],
    )  # fmt: skip
    row.store()
    return row


def test_explanation_recorded_after_the_deletion_has_no_text(shelf):
    dataset_file = factories.dataset_file(shelf)
    File.objects.filter(pk=dataset_file.file_id).delete()
    row = explained(dataset_file)
    assert not row.texts.exists()
    assert SECRET not in str(Explanation.objects.get(pk=row.pk).passages)


def test_explanation_recorded_during_the_deletion_has_no_text_and_does_not_wait(shelf):
    dataset_file = factories.dataset_file(shelf)
    with ThreadPoolExecutor(1) as beside, transaction.atomic():
        File.objects.filter(pk=dataset_file.file_id).delete()
        row = beside.submit(explained, dataset_file).result(timeout=20)
        assert not row.texts.exists()
        beside.submit(connections.close_all).result()
    assert not row.texts.exists()


def test_chunk_of_another_tenants_dataset_file_is_not_stored(world, shelf, upstream):
    stranger = factories.dataset_file(factories.dataset(factories.world(upstream.base_url).tenant))
    row = explained(stranger)
    assert row.texts.count() == 1
    mine = factories.dataset_file(shelf)
    assert not explained(mine, file_id=stranger.file_id, dataset_id=stranger.dataset_id).texts.exists()
