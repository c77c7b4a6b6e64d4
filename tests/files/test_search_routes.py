"""The two search routes: their parameters and their representations of search results."""

import httpx
import pytest

from tests import factories
from tests.wire import envelope

HOLIDAYS = "Employees get 28 days of holiday per year."
OFFICE = "The office opens at 8 and closes at 18."


@pytest.fixture
def store(world):
    """A dataset with two files, which are searched by their words."""
    made = factories.dataset(world.tenant, keys=[world.key.row])
    leave = factories.dataset_file(made, filename="leave.pdf", attributes={"language": "en", "year": 2026})
    factories.chunk(leave, HOLIDAYS, page=3, heading="Time off")
    hours = factories.dataset_file(made, filename="hours.txt", attributes={"language": "de"})
    factories.chunk(hours, OFFICE)
    factories.chunk(hours, "On a holiday nobody works.")
    for dataset_file in (leave, hours):
        dataset_file.chunk_count = dataset_file.chunks.count()
        dataset_file.save()
    return made


def searched(http, store, **body) -> list[dict]:
    response = http.post(f"/datasets/{store.pk}/search", json=body)
    assert response.status_code == 200, response.text
    return response.json()["data"]


def test_dataset_search_returns_page_and_heading(http, store):
    response = http.post(f"/datasets/{store.pk}/search", json={"query": "How many days of holiday?"}).json()
    assert (response["object"], response["dataset_id"]) == ("dataset.search_results", store.pk)
    best = response["data"][0]
    assert {name: best[name] for name in ("filename", "page", "heading", "position", "text", "attributes")} == {
        "filename": "leave.pdf", "page": 3, "heading": "Time off", "position": 0, "text": HOLIDAYS,
        "attributes": {"language": "en", "year": 2026},
    }  # fmt: skip
    scores = [found["score"] for found in response["data"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= found[name] <= 1 for found in response["data"] for name in ("score", "relevance"))


def test_search_is_limited_by_files_attributes_and_count(http, store):
    (leave,) = store.dataset_files.filter(file__filename="leave.pdf")
    question = {"query": "holiday", "mode": "text"}
    assert {found["filename"] for found in searched(http, store, **question)} == {"leave.pdf", "hours.txt"}
    only = searched(http, store, **question, file_ids=[leave.file_id])
    assert [found["text"] for found in only] == [HOLIDAYS]
    german = searched(http, store, **question, filters={"type": "eq", "key": "language", "value": "de"})
    assert {found["filename"] for found in german} == {"hours.txt"}
    for name in ("limit", "max_num_results"):
        assert len(searched(http, store, **question, **{name: 1})) == 1
    assert searched(http, store, **question, file_ids=[]) == []
    assert searched(http, store, **question, file_ids=["file-none", "a"]) == []


def test_vector_store_search_has_openais_shape(client, store):
    page = client.vector_stores.search(
        store.pk,
        query="How many days of holiday?",
        max_num_results=1,
        filters={"type": "and", "filters": [{"type": "gte", "key": "year", "value": 2026}]},
        rewrite_query=True,
        ranking_options={"ranker": "auto", "score_threshold": 0.0},
    )
    assert page.object == "vector_store.search_results.page"
    (found,) = page.data
    assert (found.filename, found.content[0].text) == ("leave.pdf", HOLIDAYS)
    assert found.attributes == {"language": "en", "year": 2026}
    assert 0 < found.score <= 1


@pytest.mark.parametrize("word", ["Ⱥ" * 682 + "b", "Ⱥ" * 682 + "bc", "Ⱥ" * 683, "x" * 2047], ids=range(4))
def test_overlong_word_is_ignored_in_a_query(http, store, word):
    """The first of them takes more bytes in lower case, which is how it is indexed."""
    for question in (f"{word} holidays", f"{word} 休暇 holidays"):
        assert HOLIDAYS in [found["text"] for found in searched(http, store, query=question)]
    for question in (word, f'"{word}"'):
        assert searched(http, store, query=question) == []


def test_several_queries_return_each_result_once(client, store):
    page = client.vector_stores.search(store.pk, query=["days of holiday", "when does the office open"])
    texts = [found.content[0].text for found in page]
    assert {HOLIDAYS, OFFICE} <= set(texts)
    assert len(texts) == len(set(texts))
    assert page.to_dict()["search_query"] == ["days of holiday", "when does the office open"]
    assert (
        len(client.vector_stores.search(store.pk, query=["holiday", "office"], max_num_results=2).data) == 2
    )


def test_results_below_the_threshold_are_omitted(client, store):
    scores = [found.score for found in client.vector_stores.search(store.pk, query="days of holiday")]
    assert len(set(scores)) > 1
    threshold = max(scores)
    kept = client.vector_stores.search(
        store.pk, query="days of holiday", ranking_options={"score_threshold": threshold}
    )
    assert [found.score for found in kept] == [score for score in scores if score >= threshold]


def test_search_requires_read_scope_and_grant(gateway, world, store):
    reader = factories.key(world.tenant, scopes=["datasets:read"])
    uploader = factories.key(world.tenant, scopes=["files:write"])
    for face in ("datasets", "vector_stores"):
        address = f"{gateway.base_url}/{face}/{store.pk}/search"
        with httpx.Client(headers={"authorization": f"Bearer {reader.plain}"}) as http:
            envelope(http.post(address, json={"query": "holiday"}), 404, "dataset_not_found")
        with httpx.Client(headers={"authorization": f"Bearer {uploader.plain}"}) as http:
            envelope(http.post(address, json={"query": "holiday"}), 403, "insufficient_scope")
    store.grants.create(key=reader.row)
    with httpx.Client(headers={"authorization": f"Bearer {reader.plain}"}) as http:
        for face in ("datasets", "vector_stores"):
            address = f"{gateway.base_url}/{face}/{store.pk}/search"
            assert http.post(address, json={"query": "holiday"}).json()["data"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "query"), ({"query": ["a"]}, "query"), ({"query": "  "}, "query"), ({"query": "a", "limit": 0}, "limit"),
        ({"query": "a", "limit": 51}, "limit"), ({"query": "a", "mode": "odd"}, "mode"),
        ({"query": "a", "file_ids": "a"}, "file_ids"), ({"query": "a", "file_ids": [1]}, "file_ids[0]"),
        ({"query": "a", "filters": {"type": "eq", "key": "a"}}, "filters.value"),
    ],
)  # fmt: skip
def test_invalid_search_names_the_field(http, store, body, param):
    assert envelope(http.post(f"/datasets/{store.pk}/search", json=body), 400)["param"] == param
