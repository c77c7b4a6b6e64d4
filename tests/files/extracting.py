"""Helpers of the tests of extraction: what is read from a file, and how it is refused."""

import pytest

from files.extraction import ExtractionError, extract, kind


def shape(found):
    return [(section.page, section.heading, section.text) for section in found.sections]


def read(folder, name, content, content_type=""):
    """Return ``(page, heading, text)`` of each section of a file with this content."""
    file = folder / "upload"
    file.write_bytes(content)
    assert kind(file, name, content_type) == "document"
    found = extract(file, name, content_type)
    assert found.warning == ""
    return shape(found)


def refusal(folder, name, content, content_type=""):
    """Return the error of a file that cannot be read, and never can."""
    with pytest.raises(ExtractionError) as caught:
        read(folder, name, content, content_type)
    assert caught.value.transient is False
    return caught.value
