"""Filters on files' attributes, as OpenAI's clients send them."""

import asyncio

import pytest

from files.backends import Caller
from files.search import search
from gtapi.errors import BadRequest
from tests import factories

FILES = {
    "one": {"year": 2020, "lang": "en", "draft": False, "score": 1.5},
    "two": {"year": 2021, "lang": "de", "draft": True, "it's": 'a "quote"'},
    "three": {"year": "2021", "lang": "en", "day": "2024-05-31"},
    "four": {},
}


@pytest.fixture(scope="module")
def library(django_db_setup, django_db_blocker):
    """A file of that name for each of FILES."""
    with django_db_blocker.unblock():
        dataset = factories.dataset(factories.tenant())
        for name, attributes in FILES.items():
            dataset_file = factories.dataset_file(
                dataset, filename=name, attributes=attributes, chunk_count=1
            )
            factories.chunk(dataset_file, "A cat.")
        return dataset


def matching(dataset, filters) -> set[str]:
    caller = Caller(dataset.tenant_id, 0, "")
    return {p.filename for p in asyncio.run(search(caller, [dataset.pk], "cat", filters=filters))}


def compare(kind, key, value):
    return {"type": kind, "key": key, "value": value}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (None, {"one", "two", "three", "four"}),
        (compare("eq", "year", 2020), {"one"}),
        (compare("eq", "year", 2020.0), {"one"}),
        (compare("eq", "year", "2020"), set()),
        (compare("eq", "year", "2021"), {"three"}),
        (compare("eq", "draft", False), {"one"}),
        (compare("eq", "draft", 0), set()),
        (compare("ne", "lang", "en"), {"two", "four"}),
        (compare("gt", "year", 2020), {"two"}),
        (compare("gte", "year", 2020), {"one", "two"}),
        (compare("lt", "score", 1.6), {"one"}),
        (compare("lte", "year", 2020), {"one"}),
        (compare("gte", "day", "2024-05-01"), {"three"}),
        (compare("lt", "day", "2024-05-01"), set()),
        (compare("gt", "lang", "a"), {"one", "two", "three"}),
        (compare("in", "year", [2020, "2021"]), {"one", "three"}),
        (compare("in", "year", []), set()),
        (compare("nin", "lang", ["en", "fr"]), {"two", "four"}),
        (compare("eq", "it's", 'a "quote"'), {"two"}),
        (compare("eq", "day' OR '1'='1", "x"), set()),
        (compare("eq", "%s", "%(x)s"), set()),
        (compare("ne", "{}", "{0}"), {"one", "two", "three", "four"}),
        (compare("eq", "", ""), set()),
        (compare("eq", "year", 10**300), set()),
        ({"type": "and", "filters": [compare("eq", "lang", "en"), compare("eq", "draft", False)]}, {"one"}),
        ({"type": "or", "filters": [compare("eq", "lang", "de"), compare("eq", "draft", False)]}, {"one", "two"}),
        (
            {
                "type": "or",
                "filters": [
                    {"type": "and", "filters": [compare("eq", "lang", "en"), compare("ne", "year", 2020)]},
                    compare("eq", "draft", True),
                ],
            },
            {"two", "three"},
        ),
    ],
    ids=lambda given: str(sorted(given)) if isinstance(given, set) else str(given),
)  # fmt: skip
def test_matching_filters(library, filters, expected):
    assert matching(library, filters) == expected


def nested(depth):
    return compare("eq", "a", 1) if depth == 1 else {"type": "and", "filters": [nested(depth - 1)]}


@pytest.mark.parametrize(
    ("filters", "param"),
    [
        ([], "filters"),
        ("year = 2020", "filters"),
        ({}, "filters.type"),
        ({"type": "like", "key": "a", "value": "b"}, "filters.type"),
        ({"type": ["eq"], "key": "a", "value": "b"}, "filters.type"),
        ({"type": "eq", "value": 1}, "filters.key"),
        (compare("eq", "k" * 65, 1), "filters.key"),
        (compare("eq", "a", "v" * 513), "filters.value"),
        (compare("in", "a", ["b", "v" * 513]), "filters.value[1]"),
        ({"type": "or", "filters": [compare("in", "a", [1] * 401)] * 5}, "filters"),
        ({"type": "eq", "key": 1, "value": 1}, "filters.key"),
        ({"type": "eq", "key": "a"}, "filters.value"),
        (compare("eq", "a", None), "filters.value"),
        (compare("eq", "a", {"b": 1}), "filters.value"),
        (compare("eq", "a", [1]), "filters.value"),
        (compare("gt", "a", True), "filters.value"),
        (compare("in", "a", "b"), "filters.value"),
        (compare("in", "a", [[1]]), "filters.value[0]"),
        (compare("in", "a", list(range(501))), "filters.value"),
        (compare("eq", "a", float("nan")), "filters.value"),
        (compare("eq", "a", float("inf")), "filters.value"),
        (compare("eq", "a", 10**400), "filters.value"),
        (compare("eq", "a\0", "b"), "filters.key"),
        (compare("eq", "a", "\0"), "filters.value"),
        (compare("eq", "a", "\ud800"), "filters.value"),
        ({"type": "and"}, "filters.filters"),
        ({"type": "and", "filters": []}, "filters.filters"),
        ({"type": "or", "filters": [compare("eq", "a", 1), {"type": "no"}]}, "filters.filters[1].type"),
        (nested(9), "filters"),
        ({"type": "or", "filters": [compare("eq", "a", 1)] * 100}, "filters"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_invalid_filters_are_refused(library, filters, param):
    with pytest.raises(BadRequest) as refused:
        matching(library, filters)
    assert refused.value.param == param


def test_filters_may_be_nested_and_many(library):
    assert matching(library, nested(8)) == set()
    assert matching(library, {"type": "or", "filters": [compare("eq", "year", 2020)] * 99}) == {"one"}
