"""Helpers of the tests of extraction: what is read from a file, and how it is refused."""

from pathlib import Path

import pytest

from files.extraction import Extracted, ExtractionError, NeedsOCR, extract, kind


def extract_as_workers_do(path: Path, name: str, content_type: str = "") -> Extracted:
    """Extract a file without OCR, and again with OCR if it needs that."""
    try:
        return extract(path, name, content_type, ocr=False)
    except NeedsOCR:
        return extract(path, name, content_type, ocr=True)


def shape(extracted):
    return [(section.page, section.heading, section.text) for section in extracted.sections]


def read(folder, name, content, content_type=""):
    """Return ``(page, heading, text)`` of each section of a file with this content."""
    file = folder / "upload"
    file.write_bytes(content)
    assert kind(file, name, content_type) == "document"
    extracted = extract_as_workers_do(file, name, content_type)
    assert extracted.warning == ""
    return shape(extracted)


def refusal(folder, name, content, content_type=""):
    """Return the permanent error of a file that cannot be read."""
    with pytest.raises(ExtractionError) as caught:
        read(folder, name, content, content_type)
    assert caught.value.transient is False
    return caught.value
