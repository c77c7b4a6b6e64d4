"""Numbers of things in words."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from gtapi.text import pluralize

#: A number that a template says, and right after it a word that is right for many alone.
FIXED = re.compile(r"(?:\|thousands|\|length|_count|\.requests|\.tokens) ?\}\} [a-z]{2,}s\b")


@pytest.mark.parametrize(
    ("number", "things", "said"),
    [
        (0, "file", "0 files"),
        (1, "file", "1 file"),
        (1234, "file", "1,234 files"),
        (1, "catalog entry,catalog entries", "1 catalog entry"),
        (2, "catalog entry,catalog entries", "2 catalog entries"),
        (1, "was,were", "1 was"),
    ],
)
def test_one_thing_is_one_and_all_else_many(number, things, said):
    assert pluralize(number, things) == said


def test_no_template_says_many_of_whatever_number():
    templates = [path for folder in settings.TEMPLATES[0]["DIRS"] for path in Path(folder).rglob("*.html")]
    assert len(templates) > 40
    assert {path.name: found for path in templates if (found := FIXED.findall(path.read_text()))} == {}
