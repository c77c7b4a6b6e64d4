"""How text is cut into pieces."""

from itertools import pairwise

import pytest

from files.chunking import pieces
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


def test_a_short_section_is_one_piece_with_its_page_and_heading():
    [piece] = pieces([Section("Thirty days.", 3, "Leave > Rules")])
    assert (piece.text, piece.page, piece.heading) == ("Thirty days.", 3, "Leave > Rules")
    assert piece.tokens == count_tokens("Thirty days.")


@pytest.mark.parametrize(("size", "overlap"), [(400, 50), (100, 0), (100, 50), (800, 400), (4096, 0)])
def test_pieces_keep_to_their_size_and_leave_nothing_out(size, overlap):
    made = pieces([Section(PROSE, 1, "All")], size=size, overlap=overlap)
    assert all(piece.tokens == count_tokens(piece.text) <= size for piece in made)
    assert all(piece.page == 1 and piece.heading == "All" for piece in made)
    assert sum(piece.tokens for piece in made[:-1]) > 0.6 * size * (len(made) - 1)
    text = " ".join(piece.text for piece in made)
    assert all(f"Paragraph {number} " in text for number in range(300))


def test_a_piece_begins_with_the_end_of_the_one_before():
    made = pieces([Section(PROSE)], size=200, overlap=60)
    for earlier, later in pairwise(made):
        start = later.text[:40]
        assert start in earlier.text
        assert count_tokens(earlier.text[earlier.text.rindex(start) :]) <= 60


def test_without_overlap_nothing_is_said_twice():
    made = pieces([Section(PROSE)], size=200, overlap=0)
    assert "".join("".join(piece.text.split()) for piece in made) == "".join(PROSE.split())


def test_pieces_do_not_end_in_the_middle_of_a_sentence():
    made = pieces([Section(PROSE)], size=200, overlap=0)
    assert all(piece.text.endswith(".") for piece in made)


def test_every_piece_of_a_table_says_what_its_columns_are():
    head = "| name | days |\n| --- | --- |"
    rows = [f"| person {number} | {number} |" for number in range(300)]
    made = pieces(
        [Section("\n".join(["Who has what:", "", head, *rows, "", "That is all."]))], size=200, overlap=50
    )
    assert len(made) > 5
    assert all(head in piece.text and piece.tokens <= 200 for piece in made)
    said = [line for piece in made for line in piece.text.splitlines()]
    assert [line for line in said if line.startswith("| person")] == rows


def test_lines_of_code_stay_whole():
    lines = [f"    value_{number} = compute(first={number}, second='text {number}')" for number in range(200)]
    made = pieces([Section("def main():\n" + "\n".join(lines))], size=200, overlap=0)
    assert {line.strip() for piece in made for line in piece.text.splitlines()} >= {
        line.strip() for line in lines
    }


def test_a_heading_with_nothing_under_it_goes_with_what_follows():
    made = pieces([Section("# Book", None, "Book"), Section("## One\n\nIt began.", None, "Book > One")])
    assert [(piece.text, piece.heading) for piece in made] == [
        ("# Book\n\n## One\n\nIt began.", "Book > One")
    ]
    assert [piece.text for piece in pieces([Section("# A", None, "A"), Section("# B", None, "B")])] == [
        "# A",
        "# B",
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_makes_empty_or_overlong_pieces(name):
    made = pieces([Section(HOSTILE[name])])
    assert made
    assert all(piece.text.strip() and piece.tokens <= 400 for piece in made)


def test_blank_sections_make_no_pieces():
    assert pieces([Section(""), Section(" \n\t ")]) == []
