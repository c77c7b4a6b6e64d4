"""Hostile files are refused or read within the limits, and reach nothing outside the sandbox."""

import socket
from pathlib import Path

import pytest

from files.extraction import ExtractionError, kind
from tests.files import hostile_files
from tests.files.extracting import extract_as_workers_do


def outcome(path, name):
    """Return ``text`` or the error code, and what was read."""
    try:
        kind(path, name, "")
        extracted = extract_as_workers_do(path, name)
    except ExtractionError as error:
        return error.code, ""
    return hostile_files.TEXT, "\n".join(section.text for section in extracted.sections)


def test_list_of_hostile_files_is_complete():
    assert len(hostile_files.FILES) == 42


@pytest.mark.parametrize("name", hostile_files.QUICK)
def test_hostile_file_is_refused_or_read(tmp_path, name):
    path = tmp_path / "upload"
    path.write_bytes(hostile_files.make(name))
    code, text = outcome(path, name)
    assert code in hostile_files.outcomes(name)
    assert "root:" not in text
    assert len(text) < 10_000_000
    assert not Path("/tmp/gtapi-slipped").exists()


@pytest.mark.parametrize("name", ["fetches.docx", "fetches.html"])
def test_documents_cannot_fetch_addresses(tmp_path, monkeypatch, name):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        monkeypatch.setattr(hostile_files, "ADDRESS", f"http://127.0.0.1:{server.getsockname()[1]}/fetched")
        path = tmp_path / "upload"
        path.write_bytes(hostile_files.make(name))
        assert outcome(path, name)[0] in hostile_files.outcomes(name)
        with pytest.raises(BlockingIOError):
            server.accept()
