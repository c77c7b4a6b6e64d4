"""Letters in pictures: on pages of their own, within limits, and where there are no data for them."""

import struct
import subprocess
import sys

import pytest

from files.extraction.limits import Limits
from files.extraction.reader import CODE
from tests.files import documents
from tests.files.test_formats import read, refusal

SMALL = (720, 260)


def scan(*lines):
    return documents.image(list(lines), "JPEG")


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))


@pytest.fixture
def little_time(settings):
    settings.EXTRACTION_SECONDS = 3
    settings.RECOGNITION_SECONDS = 1


@pytest.mark.parametrize("form", ["GIF", "BMP", "WEBP"])
def test_images_of_every_kind_are_read(tmp_path, form):
    image = documents.image(["The lantern hangs in the hall"], form, SMALL)
    assert read(tmp_path, "a.bin", image) == [(None, "", "The lantern hangs in the hall")]


def test_each_page_of_a_fax_is_read(tmp_path):
    fax = documents.image([["The lantern hangs"], [], ["in the hall"]], "TIFF", SMALL)
    assert read(tmp_path, "a.tif", fax) == [(1, "", "The lantern hangs"), (3, "", "in the hall")]


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_fax_whose_pages_go_round_in_a_circle_comes_to_an_end(tmp_path, order):
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    circle = start + struct.pack(f"{order}IHI", 8, 0, 8)
    assert refusal(tmp_path, "a.tif", circle).code == "broken_file"


def test_without_data_pictures_are_not_read_and_text_is(tmp_path, no_data):
    error = refusal(tmp_path, "a.png", documents.image(["Unread"], size=SMALL))
    assert (error.code, error.message) == (
        "unsupported_file",
        "The text in images is not read by this gateway.",
    )
    error = refusal(tmp_path, "a.pdf", documents.pdf([[]], scans={1: scan("Unread")}))
    assert error.code == "no_text"
    assert "pages that are pictures" in error.message
    mixed = documents.pdf([["Read"], []], scans={2: scan("Unread")})
    assert read(tmp_path, "a.pdf", mixed) == [(1, "", "Read")]


def test_a_scan_with_more_pages_than_there_is_time_for_says_so(tmp_path, little_time):
    page = scan("The lantern hangs in the hall")
    error = refusal(tmp_path, "a.pdf", documents.pdf([[]] * 500, scans=dict.fromkeys(range(1, 501), page)))
    assert error.code == "file_too_complex"
    assert error.message.startswith("500 pages have no text but what is in a picture, and only ")


def test_pages_of_few_words_are_read_where_there_is_no_time_to_look_at_them(tmp_path, little_time):
    words = [[f"Word {number}"] for number in range(1, 301)]
    found = read(tmp_path, "a.pdf", documents.pdf(words, scans={1: scan()}))
    assert [page for page, _, _ in found] == list(range(1, 301))
    assert found[-1] == (300, "", "Word 300")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the limits of another process")
def test_time_on_top_is_taken_once_letters_are_recognised():
    limits = Limits(seconds=10, deadline=20, memory=1 << 30, characters=100, recognition=30)
    code = (
        "from files.extraction.limits import Limits, more_time\n"
        f"{limits!r}.impose(); input(); print(more_time(), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=CODE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert not limits.recognises(child.pid)
        print(file=child.stdin, flush=True)
        assert child.stdout.readline() == "40\n"
        assert limits.recognises(child.pid)
        child.kill()
    assert limits.last_deadline == 80
