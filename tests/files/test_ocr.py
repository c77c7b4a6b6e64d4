"""OCR of images, TIFF pages and PDF pages, within the limits, and without installed language data."""

import re
import struct
import subprocess
import sys

import pytest

from files.extraction.limits import Limits
from files.extraction.subprocess_runner import CODE
from tests.files import sample_files
from tests.files.extracting import extract_as_workers_do, read, refusal, shape

SMALL = (720, 260)


def scan(*lines):
    return sample_files.image(list(lines), "JPEG")


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))


@pytest.fixture
def little_time(settings):
    settings.EXTRACTION_SECONDS = 3
    settings.OCR_SECONDS = 1


def read_in_part(folder, name, content):
    """What is read of a file, as `read` returns it, and the warning."""
    file = folder / "upload"
    file.write_bytes(content)
    extracted = extract_as_workers_do(file, name)
    return shape(extracted), extracted.warning


@pytest.mark.parametrize("form", ["GIF", "BMP", "WEBP"])
def test_all_image_formats_are_read(tmp_path, form):
    image = sample_files.image(["The lantern hangs in the hall"], form, SMALL)
    assert read(tmp_path, "a.bin", image) == [(None, "", "The lantern hangs in the hall")]


def test_each_page_of_a_fax_is_read(tmp_path):
    fax = sample_files.image([["The lantern hangs"], [], ["in the hall"]], "TIFF", SMALL)
    assert read(tmp_path, "a.tif", fax) == [(1, "", "The lantern hangs"), (3, "", "in the hall")]


@pytest.mark.parametrize("order", ["<", ">"])
def test_circular_tiff_ends(tmp_path, order):
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    circle = start + struct.pack(f"{order}IHI", 8, 0, 8)
    assert refusal(tmp_path, "a.tif", circle).code == "broken_file"


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_pages_with_the_same_image_are_read_once(tmp_path, little_time, order):
    fax = sample_files.fax([(LINE, 300), ("and burns all night", 2)], order)
    assert read(tmp_path, "a.tif", fax) == [(1, "", LINE), (301, "", "and burns all night")]


def test_without_language_data_only_text_is_read(tmp_path, no_data):
    error = refusal(tmp_path, "a.png", sample_files.image(["Unread"], size=SMALL))
    assert (error.code, error.message) == (
        "unsupported_file",
        "The text in images cannot be read: OCR is not installed on this gateway.",
    )
    error = refusal(tmp_path, "a.pdf", sample_files.pdf([[]], scans={1: scan("Unread")}))
    assert error.code == "no_text"
    assert "OCR is not installed" in error.message
    words = ["Read", "and there is enough of it"]
    mixed = sample_files.pdf([words, [], ["Scan 3"], words], scans={2: scan("Unread"), 3: scan("Unread")})
    found, warning = read_in_part(tmp_path, "a.pdf", mixed)
    assert [page for page, _, _ in found] == [1, 3, 4]
    assert warning == (
        "The images on 2 pages were not read, so text may be missing: OCR is not installed on this gateway."
    )


def test_without_language_data_blank_pages_cause_no_warning(tmp_path, no_data):
    found, warning = read_in_part(tmp_path, "a.pdf", sample_files.pdf([["Read"], [], ["and read on"]]))
    assert found == [(1, "", "Read"), (3, "", "and read on")]
    assert warning == ""


LINE = "The lantern hangs in the hall"


def missing(warning):
    """How many pages a warning says were not read for lack of time."""
    match = re.fullmatch(
        r"The images on (\d+) pages? were not read, so text may be missing:"
        r" OCR would exceed the limits of time or memory\.",
        warning,
    )
    assert match, warning
    return int(match[1])


def test_warning_counts_scanned_pages_that_were_not_read(tmp_path, little_time):
    pages = dict.fromkeys(range(2, 501), scan(LINE))
    found, warning = read_in_part(
        tmp_path, "a.pdf", sample_files.pdf([["A cover with words"], *[[]] * 499], scans=pages)
    )
    assert found[0] == (1, "", "A cover with words")
    assert found[1:] == [(page, "", LINE) for page in range(2, len(found) + 1)]
    # The cover has few words, so it is a page that might have been looked at, too.
    assert missing(warning) == 500 - (len(found) - 1)


def test_warning_counts_tiff_pages_that_were_not_read(tmp_path, little_time):
    found, warning = read_in_part(tmp_path, "a.tif", sample_files.image([[LINE]] * 300, "TIFF", SMALL))
    assert found == [(page, "", LINE) for page in range(1, len(found) + 1)]
    assert missing(warning) == 300 - len(found)


@pytest.mark.parametrize("side", [9_000, 14_400])
def test_page_that_is_too_large_to_draw_is_skipped(tmp_path, side):
    pages = sample_files.pdf([["Read"], [LINE], []], scans={3: scan("Unread")})
    before, last = pages.rsplit(b"[0 0 612 792]", 1)
    vast = before + b"[0 0 %d %d]" % (side, side) + last
    found, warning = read_in_part(tmp_path, "a.pdf", vast)
    assert found == [(1, "", "Read"), (2, "", LINE)]
    assert missing(warning) == 1


def test_scan_fails_if_no_page_is_read_in_time(tmp_path, settings):
    settings.EXTRACTION_SECONDS = 3
    settings.OCR_SECONDS = 0
    settings.EXTRACTION_DEADLINE_SECONDS = 5.0
    error = refusal(tmp_path, "a.pdf", sample_files.pdf([[], []], scans=dict.fromkeys((1, 2), scan(LINE))))
    assert error.code == "file_too_complex"
    assert error.message.startswith(
        "2 pages have only images, and no text was found on the 0 that could be read"
    )


def test_pages_with_few_words_keep_them_without_time_for_ocr(tmp_path, little_time):
    words = [[f"Word {number}"] for number in range(1, 301)]
    found, warning = read_in_part(tmp_path, "a.pdf", sample_files.pdf(words, scans={1: scan()}))
    assert [page for page, _, _ in found] == list(range(1, 301))
    assert found[-1] == (300, "", "Word 300")
    assert missing(warning) > 0


LIMITS = Limits(seconds=40, deadline=45, memory=1 << 30, characters=100)


@pytest.mark.parametrize(
    ("ago", "took", "has_time"),
    [
        (0, 0, True),
        (41, 0, False),
        (0, 12, True),
        (0, 20, False),
    ],
)
def test_ocr_stops_before_the_limits(ago, took, has_time):
    """An image may take twice as long as those before it: one that exceeds a limit would lose the others' text."""
    code = "\n".join(
        [
            "import time",
            "from files.extraction.formats import kreuzberg_adapter, ocr",
            "from files.extraction.limits import Limits",
            f"kreuzberg_adapter.plain = lambda *_, **__: setattr(time, 'ahead', {took})",
            "ocr._CLOCKS = [lambda clock=clock: getattr(time, 'ahead', 0) + clock() for clock in ocr._CLOCKS]",
            f"{LIMITS!r}.impose(time.monotonic() - {ago})",
            "engine = ocr.Engine('eng'); engine.text(b'')",
            "print(engine.has_time())",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CODE, capture_output=True, text=True, check=True)
    assert done.stdout == f"{has_time}\n"


def test_default_limits_allow_three_minutes_for_a_file(settings):
    assert settings.EXTRACTION_DEADLINE_SECONDS < 180
    # Its pieces have to be embedded and stored in what is left.
    assert settings.EXTRACTION_SECONDS + settings.OCR_SECONDS <= 150
