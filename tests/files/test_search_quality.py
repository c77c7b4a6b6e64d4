"""Retrieval quality on real texts with the local model: a small part of `make bench-retrieval`."""

import pytest

from benchmarks.retrieval import run
from tests.factories import unique


@pytest.fixture(scope="module")
def matter():
    """The amendments to the constitution of the United States, and the questions that they answer."""
    written = run.written()
    passages = written.passages["amendments"]
    answered = [
        question
        for question in written.questions
        if any(find in " ".join(passages) for find in question.find)
    ]
    return run.Matter({"amendments": passages}, answered, [])


def test_everyday_questions_find_the_right_chunk(settings, matter):
    settings.FILES_EMBEDDER = "benchmarks.retrieval.embedding.embed"
    settings.FILES_SCALE = "benchmarks.retrieval.embedding.scale"
    tenant = run.fill(unique("matter"), matter)
    hybrid, vectors, words = (run.ask(tenant, matter, "embedder", mode) for mode in run.MODES)
    assert len(matter.questions) >= 15
    assert hybrid.recall(5) >= run.FLOOR["recall@5"]
    assert hybrid.mrr >= vectors.mrr - run.TOLERANCE
    assert hybrid.mrr > words.mrr
