"""The extraction process: what its sandbox forbids, how it ends, and that its result is not trusted."""

import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import orjson
import pytest

from files.extraction import Cancelled, ExtractionError, NeedsOCR, extract
from files.extraction.subprocess_runner import CODE, PREFIX, environment
from tests.files import hostile_files, sample_files
from tests.waiting import eventually


@pytest.fixture
def folder(tmp_path, settings):
    """The folder for temporary folders of extraction processes."""
    dataset_file = tmp_path / "work"
    dataset_file.mkdir()
    settings.EXTRACTION_TEMP_DIR = str(dataset_file)
    return dataset_file


@pytest.fixture
def stuck(tmp_path):
    """A file that blocks the process that opens it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def confined(tmp_path, code, *arguments):
    """Run code in the sandbox, with a document and a folder, and return the words that it prints."""
    document = tmp_path / "document"
    document.write_text("the document")
    folder = tmp_path / "own"
    folder.mkdir()
    before = (
        "import os, sys, time; from pathlib import Path; from files.extraction.sandbox import confine;"
        "from files.extraction.limits import Limits;"
        f"Limits(seconds=10, deadline=20, memory={1 << 30}, characters=100_000).impose(time.monotonic());"
        f"applied = confine(Path({str(document)!r}), Path({str(folder)!r}))\n"
        "def attempt(call, *arguments):\n"
        "    try: return repr(call(*arguments))\n"
        "    except OSError as error: return type(error).__name__\n"
    )
    command = [sys.executable, "-c", before + code, *arguments]
    done = subprocess.run(
        command, cwd=CODE, env=environment(str(folder)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def extractions(path):
    """The ids of the extraction processes of this file."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = line.read_bytes()
        except OSError:
            continue
        if b"files.extraction\0" in words and str(path).encode() in words:
            found.append(int(line.parent.name))
    return found


def in_thread(path, **options):
    """Extract a file in a thread; returns a list that will hold the error, and the thread."""
    errors = []

    def work():
        try:
            extract(path, "a.txt", "", **options)
        except (ExtractionError, Cancelled) as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return errors, thread


def test_environment_has_no_secret(tmp_path, monkeypatch):
    for name in (
        "DATABASE_URL",
        "SECRET_KEY",
        "KEY_PEPPERS",
        "ENCRYPTION_KEYS",
        "REDIS_URL",
        "AWS_SECRET_ACCESS_KEY",
    ):
        monkeypatch.setenv(name, "a-secret")
    assert "a-secret" not in confined(tmp_path, "print(*os.environ.values())")
    names = confined(tmp_path.joinpath("again").mkdir() or tmp_path / "again", "print(*os.environ)")
    assert set(names) <= {*environment(""), "LC_CTYPE", "PWD"}


def test_system_calls_are_filtered_on_supported_architectures(tmp_path):
    held = confined(tmp_path, "print(*(name.replace(' ', '_') for name in applied))")
    assert set(held) <= {"network", "files", "system_calls"}
    assert ("system_calls" in held) is (
        sys.platform == "linux" and platform.machine() in {"x86_64", "aarch64"}
    )


def test_network_is_unreachable(tmp_path, listener):
    code = "import socket; print(attempt(socket.create_connection, ('127.0.0.1', int(sys.argv[1])), 2))"
    assert confined(tmp_path, code, str(listener.getsockname()[1])) == ["PermissionError"]
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_other_processes_are_unreachable_and_none_can_be_started(tmp_path):
    code = (
        "print(attempt(os.fork), attempt(os.execv, '/bin/true', ['true']), attempt(os.kill, os.getppid(), 0))"
    )
    assert confined(tmp_path, code) == ["PermissionError"] * 3


def test_threads_are_sandboxed_too(tmp_path):
    code = (
        "import socket, threading; found = []; work = lambda: found.append(attempt(socket.socket));"
        "thread = threading.Thread(target=work); thread.start(); thread.join(); print(*found)"
    )
    assert confined(tmp_path, code) == ["PermissionError"]


def test_only_the_document_is_readable_and_only_the_temporary_folder_writable(tmp_path):
    (tmp_path / "another").write_text("another's")
    code = (
        "print('files' in applied, attempt(os.listdir, '/etc'), attempt(open, '/etc/passwd'), attempt(open, sys.argv[1]),"
        "attempt(open, f'/proc/{os.getppid()}/environ'), attempt(open, os.environ['TMPDIR'] + '/../document', 'w'))\n"
        "print(Path(os.environ['TMPDIR'], 'new').write_text('mine'), Path(sys.argv[2]).exists())"
    )
    held, *attempts, written, there = confined(
        tmp_path, code, str(tmp_path / "another"), str(tmp_path / "document")
    )
    assert (written, there) == ("4", "True")
    if held == "False":
        pytest.skip("this kernel has no Landlock, which alone keeps other files away")
    assert attempts == ["PermissionError"] * 5


def test_process_and_folder_are_gone_afterwards(folder, tmp_path):
    path = tmp_path / "a.pdf"
    path.write_bytes(sample_files.pdf([["Read"]]))
    assert extract(path, "a.pdf", "").sections[0].text == "Read"
    assert list(folder.iterdir()) == []
    assert extractions(path) == []


def test_deadline_without_processor_time_is_a_transient_error(folder, settings, stuck):
    settings.EXTRACTION_DEADLINE_SECONDS = 1.0
    with pytest.raises(ExtractionError) as caught:
        extract(stuck, "a.txt", "", ocr=False)
    assert (caught.value.code, caught.value.transient) == ("extraction_failed", True)
    assert list(folder.iterdir()) == []
    assert extractions(stuck) == []


def test_cancelled_extraction_ends_at_once(folder, stuck):
    cancelled = threading.Event()
    errors, thread = in_thread(stuck, cancelled=cancelled)
    eventually(lambda: extractions(stuck))
    cancelled.set()
    thread.join(30)
    assert [type(error) for error in errors] == [Cancelled]
    assert list(folder.iterdir()) == []
    assert extractions(stuck) == []


def test_processor_limit_is_a_permanent_error(folder, settings, tmp_path):
    settings.EXTRACTION_SECONDS = 1
    path = tmp_path / "upload"
    path.write_bytes(hostile_files.make("draws-itself.pdf"))
    with pytest.raises(ExtractionError) as caught:
        extract(path, "a.pdf", "", ocr=False)
    assert (caught.value.code, caught.value.transient) == ("file_too_complex", False)
    assert list(folder.iterdir()) == []


def test_memory_limit_is_a_permanent_error(settings, tmp_path):
    settings.EXTRACTION_MEMORY_BYTES = 1 << 30
    path = tmp_path / "upload"
    path.write_bytes(hostile_files.make("bomb.pdf"))
    with pytest.raises(ExtractionError) as caught:
        extract(path, "a.pdf", "", ocr=False)
    assert (caught.value.code, caught.value.transient) == ("file_too_complex", False)


def test_text_limit_is_a_permanent_error(settings, tmp_path):
    settings.EXTRACTION_MAX_CHARACTERS = 1000
    path = tmp_path / "upload"
    path.write_text("word " * 200)
    assert len(extract(path, "a.txt", "").sections[0].text) == 999
    path.write_text("word " * 250)
    with pytest.raises(ExtractionError, match="more text") as caught:
        extract(path, "a.txt", "")
    assert (caught.value.code, caught.value.transient) == ("file_too_complex", False)


def test_killed_process_is_a_transient_error(folder, stuck):
    errors, thread = in_thread(stuck)
    eventually(lambda: extractions(stuck))
    for pid in extractions(stuck):
        os.kill(pid, signal.SIGKILL)
    thread.join(30)
    assert [(error.code, error.transient) for error in errors] == [("extraction_failed", True)]
    assert list(folder.iterdir()) == []


def test_process_dies_with_its_parent(tmp_path, stuck):
    code = (
        "import sys; from pathlib import Path; from django.conf import settings;"
        "settings.configure(EXTRACTION_SECONDS=60, OCR_SECONDS=60, EXTRACTION_DEADLINE_SECONDS=60.0, EXTRACTION_MEMORY_BYTES=1 << 30,"
        "EXTRACTION_MAX_CHARACTERS=1000, EXTRACTION_TEMP_DIR=sys.argv[2]);"
        "from files.extraction import extract; extract(Path(sys.argv[1]), 'a.txt', '')"
    )
    waiting = subprocess.Popen([sys.executable, "-c", code, str(stuck), str(tmp_path)], cwd=CODE)
    try:
        eventually(lambda: extractions(stuck))
    finally:
        waiting.kill()
        waiting.wait()
    eventually(lambda: not extractions(stuck))


def test_abandoned_folders_are_removed(folder, tmp_path):
    old, new = (folder / f"{PREFIX}{name}" for name in ("old", "new"))
    for abandoned in (old, new):
        abandoned.mkdir()
        (abandoned / "output").write_text("left")
    os.utime(old, (time.time() - 7200,) * 2)
    path = tmp_path / "a.txt"
    path.write_text("words")
    extract(path, "a.txt", "")
    assert list(folder.iterdir()) == [new]


def test_invalid_output_is_an_error(monkeypatch, tmp_path):
    from files.extraction import subprocess_runner

    for output in (
        b"",
        b"[]",
        b'{"sections": [[1, null, ""]]}',
        b'{"sections": [["a"]]}',
        b'{"sections": []}',
        b'{"a": 1}',
        b'{"needs_ocr": true}',
    ):
        with pytest.raises(ExtractionError) as caught:
            subprocess_runner._extracted(output, ocr=True)
        assert (caught.value.code, caught.value.transient) == ("extraction_failed", True)
    with pytest.raises(ExtractionError) as caught:
        subprocess_runner._extracted(orjson.dumps({"code": "invented", "message": "x" * 9000}), ocr=True)
    assert caught.value.code == "broken_file"
    assert len(caught.value.message) == 500


def test_file_that_needs_ocr_is_only_read_where_ocr_is_allowed(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(sample_files.image(["The lantern hangs in the hall"], size=(720, 260)))
    with pytest.raises(NeedsOCR):
        extract(path, "a.png", "", ocr=False)
    assert extract(path, "a.png", "").sections[0].text == "The lantern hangs in the hall"


def test_file_that_cannot_be_opened_is_a_transient_error(tmp_path, caplog):
    with pytest.raises(ExtractionError) as caught:
        extract(tmp_path / "gone.pdf", "a.pdf", "")
    assert (caught.value.code, caught.value.transient) == ("extraction_failed", True)
    assert "No such file" in caplog.text
    assert "gone" not in caught.value.message
