"""Splitting text into chunks."""

from itertools import pairwise

import pytest

from files.chunking import split
from files.extraction import Section
from gtapi.tokenizer import count_tokens

PROSE = "\n\n".join(
    f"Paragraph {number} speaks of matter {number * 7}. It goes on for a while, as texts do. Then it ends."
    for number in range(300)
)
HOSTILE = {
    "one line": "x" * 30_000,
    "blanks": " x" + " " * 30_000 + "y",
    "lines": "a\n" * 15_000,
    "emoji": "\U0001f600" * 15_000,
    "digits": "1," * 15_000,
    "brackets": "(" * 30_000,
    "han": "\u4e2d" * 20_000,
    "heads of tables": "| a |\n| - |\n" * 5_000,
    "marks": "a\u0301" * 15_000,
    "runs": "".join("b" + " " * (at % 70 + 1) for at in range(1000)),
}


def test_short_section_is_one_chunk_with_page_and_heading():
    [chunk] = split([Section("Thirty days.", 3, "Leave > Rules")])
    assert (chunk.text, chunk.page, chunk.heading) == ("Thirty days.", 3, "Leave > Rules")
    assert chunk.tokens == count_tokens("Thirty days.")


@pytest.mark.parametrize(("size", "overlap"), [(400, 50), (100, 0), (100, 50), (800, 400), (4096, 0)])
def test_chunks_respect_their_size_and_omit_nothing(size, overlap):
    chunks = split([Section(PROSE, 1, "All")], size=size, overlap=overlap)
    assert all(chunk.tokens == count_tokens(chunk.text) <= size for chunk in chunks)
    assert all(chunk.page == 1 and chunk.heading == "All" for chunk in chunks)
    assert sum(chunk.tokens for chunk in chunks[:-1]) > 0.6 * size * (len(chunks) - 1)
    text = " ".join(chunk.text for chunk in chunks)
    assert all(f"Paragraph {number} " in text for number in range(300))


def test_chunk_begins_with_the_overlap_of_the_previous_one():
    chunks = split([Section(PROSE)], size=200, overlap=60)
    for earlier, later in pairwise(chunks):
        start = later.text[:40]
        assert start in earlier.text
        assert count_tokens(earlier.text[earlier.text.rindex(start) :]) <= 60


def test_chunks_without_overlap_repeat_nothing():
    chunks = split([Section(PROSE)], size=200, overlap=0)
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join(PROSE.split())


def test_chunks_do_not_end_in_the_middle_of_a_sentence():
    chunks = split([Section(PROSE)], size=200, overlap=0)
    assert all(chunk.text.endswith(".") for chunk in chunks)


def test_every_chunk_of_a_table_has_its_header():
    head = "| name | days |\n| --- | --- |"
    rows = [f"| person {number} | {number} |" for number in range(300)]
    chunks = split(
        [Section("\n".join(["Who has what:", "", head, *rows, "", "That is all."]))], size=200, overlap=50
    )
    assert len(chunks) > 5
    assert all(head in chunk.text and chunk.tokens <= 200 for chunk in chunks)
    said = [line for chunk in chunks for line in chunk.text.splitlines()]
    assert [line for line in said if line.startswith("| person")] == rows


def test_lines_of_code_are_not_split():
    lines = [f"    value_{number} = compute(first={number}, second='text {number}')" for number in range(200)]
    chunks = split([Section("def main():\n" + "\n".join(lines))], size=200, overlap=0)
    assert {line.strip() for chunk in chunks for line in chunk.text.splitlines()} >= {
        line.strip() for line in lines
    }


def test_empty_heading_is_joined_with_the_next_section():
    chunks = split([Section("# Book", None, "Book"), Section("## One\n\nIt began.", None, "Book > One")])
    assert [(chunk.text, chunk.heading) for chunk in chunks] == [
        ("# Book\n\n## One\n\nIt began.", "Book > One")
    ]
    assert [chunk.text for chunk in split([Section("# A", None, "A"), Section("# B", None, "B")])] == [
        "# A",
        "# B",
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_makes_empty_or_overlong_chunks(name):
    chunks = split([Section(HOSTILE[name])])
    assert chunks
    assert all(chunk.text.strip() and chunk.tokens <= 400 for chunk in chunks)


def test_blank_sections_make_no_chunks():
    assert split([Section(""), Section(" \n\t ")]) == []
