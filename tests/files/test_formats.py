"""What is read out of each kind of file."""

import pytest

from files.chunking import pieces
from files.extraction import extract, kind
from tests.files import documents


def read(folder, name, content, content_type=""):
    """Return ``(heading, text)`` by page of a file with this content."""
    file = folder / "upload"
    file.write_bytes(content)
    assert kind(file, name, content_type) == "document"
    return [(section.page, section.heading, section.text) for section in extract(file, name, content_type)]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "a.pdf",
            documents.pdf([["Leave", "Thirty days."], ["Sick?"]]),
            [(1, "", "Leave\nThirty days."), (2, "", "Sick?")],
        ),
        (
            "a.docx",
            documents.docx([("Heading1", "Leave"), ("Normal", "Thirty days.")]),
            [(None, "Leave", "# Leave\n\nThirty days.")],
        ),
        ("a.md", b"# Leave\nThirty days.\n", [(None, "Leave", "# Leave\nThirty days.")]),
        ("a.txt", "Thirty \u20ac".encode("utf-16"), [(None, "", "Thirty \u20ac")]),
        ("a.csv", b"name,days\nAnn,30\n", [(None, "", "| name | days |\n| --- | --- |\n| Ann | 30 |")]),
        ("a.json", b'{"staff": [{"name": "Ann"}]}', [(None, "", "staff[0].name: Ann")]),
    ],
)
def test_text_pages_and_headings_come_out(tmp_path, name, content, expected):
    assert read(tmp_path, name, content) == expected


def test_pieces_have_their_size_and_the_heading_of_their_section(tmp_path):
    file = tmp_path / "upload"
    file.write_text("# Rules\n" + "Every day is a good day to read. " * 400)
    made = pieces(extract(file, "rules.md", ""))
    assert len(made) > 7
    assert {piece.heading for piece in made} == {"Rules"}
    assert all(0 < piece.tokens <= 400 for piece in made)
