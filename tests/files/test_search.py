"""Search in a real PostgreSQL: ranking, relevance, modes and isolation."""

import asyncio

import pytest

from files.backends import Caller
from files.models import ChunkVector, Dataset, DatasetFile
from files.models.chunks import vector_text
from files.search import search
from gtapi.errors import BadRequest
from tests import factories

pytestmark = pytest.mark.usefixtures("own_embedder")


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def dataset(tenant):
    return factories.dataset(tenant, embedding="embedder")


@pytest.fixture
def words(tenant):
    """A dataset without vectors."""
    return factories.dataset(tenant)


def find(query, *datasets, tenant=None, **more):
    caller = Caller((tenant or datasets[0].tenant).pk, 0, "req_test")
    return asyncio.run(search(caller, [dataset.pk for dataset in datasets], query, **more))


def texts(passages):
    return [result.text for result in passages]


def test_best_chunk_comes_first(dataset, shelf):
    dataset_file = shelf(
        dataset, "A cat sleeps.", "The ship sails at noon.", "Bread is baked here.", filename="a.txt"
    )
    results = find("When does the ship sail?", dataset)
    first = results[0]
    assert first.text == "The ship sails at noon."
    assert (first.dataset_id, first.file_id, first.filename) == (dataset.pk, dataset_file.file_id, "a.txt")
    assert (first.position, first.page, first.heading, first.attributes) == (1, None, "", {})
    assert first.score == pytest.approx(1.0)
    assert first.similarity == pytest.approx(1.0)
    assert results == sorted(results, key=lambda passage: -passage.score)
    assert all(0 <= passage.relevance <= 1 for passage in results)


def test_natural_question_finds_by_words_alone(words, shelf):
    shelf(words, "Employees get 28 days of holiday per year.", "The office opens at eight.")
    for question in ("How many days of holidays do employees get each year?", "holiday", "HOLIDAYS!"):
        assert texts(find(question, words)) == ["Employees get 28 days of holiday per year."]


def test_rare_words_weigh_more_than_common_ones(words, shelf):
    shelf(
        words, *(f"The report of the year {year} is on the table." for year in range(1990, 2020)), "Kumquat."
    )
    assert texts(find("the report on the kumquat of the year", words))[0] == "Kumquat."


def test_quoted_phrase_is_required(words, shelf):
    shelf(words, "The cat saw the black dog.", "The dog saw the black cat.")
    assert texts(find('where is the "black cat"', words)) == ["The dog saw the black cat."]
    assert texts(find("\u201cblack dog\u201d", words)) == ["The cat saw the black dog."]
    assert find('"black moon"', words) == []


def test_headings_are_searched(words, shelf):
    dataset_file = shelf(words, "Nothing to see.")
    factories.chunk(dataset_file, "Twenty-eight days.", heading="Holidays")
    assert texts(find("holidays", words)) == ["Twenty-eight days."]


def test_search_modes(dataset, shelf):
    shelf(dataset, "A cat.", "Something else.")
    assert texts(find("cats", dataset, mode="text")) == ["A cat."]
    assert texts(find("cats", dataset, mode="vector")) == ["A cat.", "Something else."]
    assert texts(find("something", dataset, mode="vector")) == ["Something else.", "A cat."]
    with pytest.raises(BadRequest):
        find("cats", dataset, mode="magic")


def test_text_search_embeds_nothing(dataset, shelf, own_embedder):
    shelf(dataset, "A cat.")
    find("cat", dataset, mode="text")
    assert own_embedder.CALLS == []
    find("cat", dataset)
    assert own_embedder.CALLS == [("embedder", ["cat"], True)]


def test_search_of_an_empty_dataset_embeds_nothing(dataset, own_embedder):
    factories.dataset_file(dataset, state=DatasetFile.State.PROCESSING)
    assert find("cat", dataset) == []
    assert own_embedder.CALLS == []


@pytest.mark.parametrize("mode", ["hybrid", "vector"])
def test_dataset_without_its_embedding_entry_is_searched_by_words(tenant, shelf, caplog, mode):
    away = factories.dataset(tenant, embedding="away")
    shelf(away, "A cat.", "A dog.")
    assert texts(find("the cat", away, mode=mode)) == ["A cat."]
    assert "searched without vectors of away: 50" in caplog.text
    # A provider's own words may quote the question.
    assert "it is away" not in caplog.text


def test_datasets_of_several_embeddings_are_searched_together(tenant, dataset, words, shelf, own_embedder):
    wide = factories.dataset(tenant, embedding="wide")
    shelf(dataset, "A cat on a mat.", "A dog.")
    shelf(wide, "The cat of the house.", "A river.")
    shelf(words, "Cats are cats.", "No animal.")
    results = find("cat", dataset, wide, words)
    assert set(texts(results)[:3]) == {"A cat on a mat.", "The cat of the house.", "Cats are cats."}
    assert {name for name, _, _ in own_embedder.CALLS} == {"embedder", "wide"}
    assert {p.text: p.similarity for p in results}["Cats are cats."] is None
    assert {p.text: p.similarity for p in results}["The cat of the house."] == pytest.approx(1)


# Relevance


def test_relevance_scales_similarity_between_the_bounds_of_the_entry(dataset, shelf):
    shelf(dataset, "A cat and a dog.", "A cat, the moon, bread and a stone.", "A ship.")
    results = {p.text: p.relevance for p in find("cat", dataset)}
    # The entry says that 0.5 is nothing and 1 is all.
    assert results["A cat and a dog."] == pytest.approx((0.5**0.5 - 0.5) * 2, abs=0.01)
    assert results["A cat, the moon, bread and a stone."] == pytest.approx(0, abs=0.01)
    assert results["A ship."] == 0


def test_relevance_without_vectors_is_the_matched_share_of_the_question(words, shelf):
    shelf(words, "The cat saw the moon rise.", "A cat.", "A dog.", "A dog.", "A dog.")
    results = {p.text: p.relevance for p in find("Did the cat see the moon rise over rivers?", words)}
    assert results["The cat saw the moon rise."] > 2 * results["A cat."] > 0
    assert find("cat", words)[0].relevance == 1


def test_few_matching_words_do_not_outrank_meaning(dataset, shelf):
    shelf(dataset, "Cats and dogs.", "They often ask whether somebody decides.")
    question = "Who decides whether a cat may ask a dog?"
    assert texts(find(question, dataset))[0] == "Cats and dogs."
    assert texts(find(question, dataset, mode="text"))[0] == "They often ask whether somebody decides."


# What is not to be found


def test_other_tenant_finds_nothing(tenant, dataset, words, shelf):
    shelf(dataset, "The canary sings.")
    shelf(words, "The canary sings.")
    intruder = factories.tenant()
    own = factories.dataset(intruder, embedding="embedder")
    shelf(own, "A stone.")
    for mode in ("hybrid", "vector", "text"):
        results = find("canary", own, dataset, words, tenant=intruder, mode=mode)
        assert "canary" not in str(results)


def test_only_files_that_are_ready_are_searched(dataset, shelf):
    for state in DatasetFile.State.values:
        shelf(dataset, f"The cat is {state}.", state=state)
    for mode in ("hybrid", "vector", "text"):
        assert texts(find("the cat", dataset, mode=mode)) == ["The cat is ready."]


def test_deleted_file_is_not_found(dataset, shelf):
    dataset_file = shelf(dataset, "A cat.")
    shelf(dataset, "A cat, too.")
    dataset_file.delete()
    assert texts(find("cat", dataset)) == ["A cat, too."]


def test_only_requested_datasets_are_searched(tenant, dataset, shelf):
    other = factories.dataset(tenant, embedding="embedder")
    shelf(dataset, "A cat.")
    shelf(other, "Another cat.")
    assert texts(find("cat", dataset)) == ["A cat."]
    assert asyncio.run(search(Caller(tenant.pk, 0, ""), [], "cat")) == []


def test_conversation_dataset_is_searchable(tenant, shelf):
    hidden = factories.dataset(tenant, hidden=True)
    shelf(hidden, "A cat.")
    assert texts(find("cat", hidden)) == ["A cat."]


def next_generation(dataset: Dataset, text: str) -> None:
    """Give every chunk a vector of the next generation, all of them that of `text`."""
    from tests.files.fake_embedder import vector

    for chunk in dataset.chunks.all():
        ChunkVector.objects.create(
            chunk=chunk, tenant_id=chunk.tenant_id, dataset_id=chunk.dataset_id,
            generation=dataset.generation + 1, dimensions=8, vector=vector_text(vector(text)),
        )  # fmt: skip


def test_unpublished_generation_is_not_searched(dataset, shelf):
    shelf(dataset, "cat", "dog")
    next_generation(dataset, "moon")
    assert find("moon", dataset, mode="vector")[0].similarity == pytest.approx(0)
    Dataset.objects.filter(pk=dataset.pk).update(generation=2)
    assert [p.similarity for p in find("moon", dataset, mode="vector")] == [pytest.approx(1)] * 2


def test_vectors_are_not_compared_with_those_of_another_entry(dataset, shelf, settings):
    """The dataset switches to another catalog entry while the old one embeds the question."""
    shelf(dataset, "cat", "dog")
    next_generation(dataset, "cat")
    settings.FILES_EMBEDDER = "tests.files.test_search.embed_and_swap"
    swaps.append(dataset.pk)
    results = find("cat", dataset, mode="vector")
    assert [p.similarity for p in results] == [pytest.approx(1), pytest.approx(1)]


swaps: list[str] = []


async def embed_and_swap(caller, name, texts, *, query, within):
    from gtapi.database import in_thread
    from tests.files.fake_embedder import embed

    if swaps:
        rows = Dataset.objects.filter(pk=swaps.pop())
        await in_thread(lambda: rows.update(generation=2, indexed_embedding="new", embedding="new"))
    return await embed(caller, name, texts, query=query, within=within)


# Odd questions


@pytest.mark.parametrize(
    "query",
    ["", " \n\t ", "\0", "what is it?", '""', '"the"', "'", "\\", "a' | b & !c:*", "%s %d {} {0}", "\ud800",
     "🐈‍⬛ мяу 猫", "(((", "x" * 3000, "; DROP TABLE files_chunk; --", '"' * 501, "cat & | !"],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["hybrid", "vector", "text"])
def test_any_question_is_accepted(dataset, shelf, query, mode):
    shelf(dataset, "A cat.")
    assert len(find(query, dataset, mode=mode)) <= 1


def test_questions_in_other_scripts_find_chunks(words, shelf):
    shelf(words, "Кошка спит.", "Die Straße ist naß.", "猫 が 好き", "Other.")
    assert texts(find("где кошка", words)) == ["Кошка спит."]
    assert texts(find("Straße", words)) == ["Die Straße ist naß."]
    assert texts(find("猫", words)) == ["猫 が 好き"]


def test_long_question_is_accepted(dataset, shelf, own_embedder):
    shelf(dataset, "A cat.", "A dog.")
    filler = " ".join(f"word{number}" for number in range(2000))
    assert texts(find(f"{filler} cat", dataset))[0] == "A cat."
    ((_, (embedded,), _),) = own_embedder.CALLS
    assert len(embedded) <= 4_001


def test_equal_results_have_a_stable_order(dataset, words, shelf):
    for each in (dataset, words):
        for _ in range(6):
            shelf(each, "The very same cat.")
    for mode in ("hybrid", "vector", "text"):
        ids = [p.chunk_id for p in find("cat", dataset, words, mode=mode)]
        assert ids == [p.chunk_id for p in find("cat", dataset, words, mode=mode)]
        assert len(set(ids)) == len(ids)


def test_result_count_follows_the_request(words, shelf):
    shelf(words, *(f"Cat number {number}." for number in range(60)))
    assert len(find("cat", words)) == 10
    assert len(find("cat", words, limit=3)) == 3
    assert len(find("cat", words, limit=1000)) == 50
    with pytest.raises(BadRequest):
        find("cat", words, limit=0)


def test_search_can_be_limited_to_files(tenant, dataset, shelf):
    one, two = shelf(dataset, "A cat."), shelf(dataset, "Another cat.")
    assert texts(find("cat", dataset, file_ids=[two.file_id])) == ["Another cat."]
    assert find("cat", dataset, file_ids=[]) == []
    assert find("cat", dataset, file_ids=["file-x", "\0"]) == []
    assert len(find("cat", dataset, file_ids=[one.file_id, two.file_id])) == 2
