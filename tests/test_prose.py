"""The prose check finds what it should, and nothing else."""

import pytest

from tests.prose import PATTERNS, Finding, findings


def found(text: str, path: str = "docs/files.md") -> list[tuple[int, str]]:
    return [(finding.line, finding.pattern) for finding in findings(path, text)]


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("The body is no JSON object.", "is no"),
        ("A server of its own.", "of its own"),
        ("Write the file anew.", "anew"),
        ("For whoever calls it.", "whoever"),
        ("Nobody reads it.", "nobody"),
        ("Somebody may have edited it.", "somebody"),
        ("This is for everybody.", "everybody"),
        ("It runs beside the web server.", "beside"),
        ("What is in work is given back.", "in work"),
        ("It restarts by itself.", "by itself"),
        ("The order came by mail.", "came by"),
        ("So far and so long as the client likes.", "so far and so"),
        ("It is the one that waits.", "the one that"),
        ("The preset «chat».", "guillemets"),
    ],
)
def test_each_pattern_is_found(text, pattern):
    assert pattern in {name for _, name in found(text)}


def test_each_pattern_has_a_test():
    cases = test_each_pattern_is_found.pytestmark[0].args[1]
    assert {pattern for _, pattern in cases} == set(PATTERNS)


@pytest.mark.parametrize(
    "text",
    [
        "There is no tenant yet.",
        "If there are no files, the list is empty.",
        "It is no longer used.",
        "Besides, it is fast.",
        "The network of the company.",
    ],
)
def test_plain_english_passes(text):
    assert found(text) == []


def test_a_phrase_on_two_lines_is_found_at_its_first_line():
    assert found("One.\nIt has a pool of\nits own.") == [(2, "of its own")]
    assert found('"""One."""\n\n# It has a pool of\n# its own.\n', "gtapi/ids.py") == [(3, "of its own")]


def test_identifiers_of_python_are_not_prose():
    assert found("nobody = beside(whoever)\n", "gtapi/ids.py") == []
    assert found('text = "nobody"\n', "gtapi/ids.py") == [(1, "nobody")]


def test_sample_data_of_tests_is_not_prose():
    text = '"""Nobody."""\n\nTEXT = "somebody"\n'
    assert found(text, "tests/files/test_search.py") == [(1, "nobody")]


def test_an_allowed_use_passes():
    assert found('name = "nobody"\n', "gtapi/stack/run_as.py") == []


def test_a_finding_says_what_to_write():
    finding = Finding("gtapi/ids.py", 3, "anew", "anew")
    assert str(finding) == "gtapi/ids.py:3: 'anew': write again, or re-…"
