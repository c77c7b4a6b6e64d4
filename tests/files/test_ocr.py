"""Letters in pictures: on pages of their own, within limits, and where there are no data for them."""

import struct
import subprocess
import sys

import pytest

from files.extraction import Interrupted, extract
from files.extraction.limits import Limits
from files.extraction.subprocess_runner import CODE
from tests.files import hostile_files, sample_files
from tests.files.extracting import read, refusal, shape

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
    """What is read of a file, as `read` does, and the sentence that says what is not."""
    file = folder / "upload"
    file.write_bytes(content)
    found = extract(file, name, "")
    return shape(found), found.warning


@pytest.mark.parametrize("form", ["GIF", "BMP", "WEBP"])
def test_images_of_every_kind_are_read(tmp_path, form):
    image = sample_files.image(["The lantern hangs in the hall"], form, SMALL)
    assert read(tmp_path, "a.bin", image) == [(None, "", "The lantern hangs in the hall")]


def test_each_page_of_a_fax_is_read(tmp_path):
    fax = sample_files.image([["The lantern hangs"], [], ["in the hall"]], "TIFF", SMALL)
    assert read(tmp_path, "a.tif", fax) == [(1, "", "The lantern hangs"), (3, "", "in the hall")]


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_fax_whose_pages_go_round_in_a_circle_comes_to_an_end(tmp_path, order):
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    circle = start + struct.pack(f"{order}IHI", 8, 0, 8)
    assert refusal(tmp_path, "a.tif", circle).code == "broken_file"


@pytest.mark.parametrize("order", ["<", ">"])
def test_pages_of_a_fax_that_show_the_same_picture_are_read_once(tmp_path, little_time, order):
    fax = sample_files.fax([(LINE, 300), ("and burns all night", 2)], order)
    assert read(tmp_path, "a.tif", fax) == [(1, "", LINE), (301, "", "and burns all night")]


def test_without_data_pictures_are_not_read_and_text_is(tmp_path, no_data):
    error = refusal(tmp_path, "a.png", sample_files.image(["Unread"], size=SMALL))
    assert (error.code, error.message) == (
        "unsupported_file",
        "The text in images is not read by this gateway.",
    )
    error = refusal(tmp_path, "a.pdf", sample_files.pdf([[]], scans={1: scan("Unread")}))
    assert error.code == "no_text"
    assert "pages that are pictures" in error.message
    words = ["Read", "and there is enough of it"]
    mixed = sample_files.pdf([words, [], ["Scan 3"], words], scans={2: scan("Unread"), 3: scan("Unread")})
    found, warning = read_in_part(tmp_path, "a.pdf", mixed)
    assert [page for page, _, _ in found] == [1, 3, 4]
    assert warning == (
        "2 pages have little or no text but what may be in a picture, which was not read: this gateway has no data for"
        " that."
    )


def test_without_data_and_pictures_blank_pages_are_nothing_that_is_missing(tmp_path, no_data):
    found, warning = read_in_part(tmp_path, "a.pdf", sample_files.pdf([["Read"], [], ["and read on"]]))
    assert found == [(1, "", "Read"), (3, "", "and read on")]
    assert warning == ""


LINE = "The lantern hangs in the hall"


def missing(warning):
    """How many pages a warning says were not read, for want of time."""
    number, said = warning.split(" ", 1)
    has = "page has" if number == "1" else "pages have"
    assert said == (
        f"{has} little or no text but what may be in a picture, which was not read: that takes more time or"
        " memory than is allowed."
    )
    return int(number)


def test_a_scan_with_more_pages_than_there_is_time_for_says_how_many_are_missing(tmp_path, little_time):
    pages = dict.fromkeys(range(2, 501), scan(LINE))
    found, warning = read_in_part(
        tmp_path, "a.pdf", sample_files.pdf([["A cover with words"], *[[]] * 499], scans=pages)
    )
    assert found[0] == (1, "", "A cover with words")
    assert found[1:] == [(page, "", LINE) for page in range(2, len(found) + 1)]
    # The cover has few words, so it is a page that might have been looked at, too.
    assert missing(warning) == 500 - (len(found) - 1)


def test_a_fax_with_more_pages_than_there_is_time_for_says_how_many_are_missing(tmp_path, little_time):
    found, warning = read_in_part(tmp_path, "a.tif", sample_files.image([[LINE]] * 300, "TIFF", SMALL))
    assert found == [(page, "", LINE) for page in range(1, len(found) + 1)]
    assert missing(warning) == 300 - len(found)


@pytest.mark.parametrize("side", [9_000, 14_400])
def test_a_page_that_is_too_large_to_be_drawn_is_missing_alone(tmp_path, side):
    pages = sample_files.pdf([["Read"], [LINE], []], scans={3: scan("Unread")})
    before, last = pages.rsplit(b"[0 0 612 792]", 1)
    vast = before + b"[0 0 %d %d]" % (side, side) + last
    found, warning = read_in_part(tmp_path, "a.pdf", vast)
    assert found == [(1, "", "Read"), (2, "", LINE)]
    assert missing(warning) == 1


def test_a_scan_of_which_nothing_is_read_in_time_is_refused(tmp_path, settings):
    settings.EXTRACTION_SECONDS = 3
    settings.OCR_SECONDS = 0
    settings.EXTRACTION_DEADLINE_SECONDS = 5.0
    error = refusal(tmp_path, "a.pdf", sample_files.pdf([[], []], scans=dict.fromkeys((1, 2), scan(LINE))))
    assert error.code == "file_too_complex"
    assert error.message.startswith("2 pages have no text but what is in a picture, and only 0 could be read")


def test_pages_of_few_words_are_read_where_there_is_no_time_to_look_at_them(tmp_path, little_time):
    words = [[f"Word {number}"] for number in range(1, 301)]
    found, warning = read_in_part(tmp_path, "a.pdf", sample_files.pdf(words, scans={1: scan()}))
    assert [page for page, _, _ in found] == list(range(1, 301))
    assert found[-1] == (300, "", "Word 300")
    assert missing(warning) > 0


LIMITS = Limits(seconds=10, deadline=20, memory=1 << 30, characters=100, recognition=30)


def limited(code):
    """Begins code in a process that is held to these limits; `began` can be changed before."""
    before = "import time; from files.extraction.limits import Limits, more_time; began = time.monotonic()\n"
    return subprocess.Popen(
        [sys.executable, "-c", before + code.replace("IMPOSE", f"{LIMITS!r}.impose(began)")],
        cwd=CODE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the limits of another process")
def test_time_on_top_is_taken_once_letters_are_recognised():
    with limited("IMPOSE; input(); print(more_time()[0], flush=True); input()") as child:
        assert not LIMITS.recognises(child.pid)
        print(file=child.stdin, flush=True)
        assert child.stdout.readline() == "40\n"
        assert LIMITS.recognises(child.pid)
        child.kill()
    # By the clock it is as much: what gets none of the processor comes to an end as well.
    assert LIMITS.last_deadline == 40


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the limits of another process")
def test_whoever_waits_is_told_when_letters_are_recognised(tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(hostile_files.make("endless-scan.pdf"))
    with pytest.raises(Interrupted):
        extract(path, "a.pdf", "", lambda recognises: not recognises)
    told = []
    path.write_bytes(hostile_files.make("one-line.txt"))
    extract(path, "a.txt", "", lambda recognises: told.append(recognises) or True)
    assert not any(told)


@pytest.mark.parametrize(
    ("platform", "ago", "took", "has_time"),
    [
        ("linux", 0, 0, True),
        ("linux", 36, 0, False),
        ("linux", 0, 10, True),
        ("linux", 0, 13, False),
        # Nobody who waits is told there, so it is ended when every file is.
        ("darwin", 0, 0, True),
        ("darwin", 16, 0, False),
        ("linux", 16, 0, True),
    ],
)
def test_letters_are_recognised_as_long_as_the_clock_allows(platform, ago, took, has_time):
    """A picture may take twice as long as those before: one on which the process is killed takes all with it."""
    code = "\n".join(
        [
            "from files.extraction.formats import letters, library",
            f"library.plain = lambda *_, **__: setattr(time, 'ahead', {took})",
            "letters._CLOCKS = [lambda clock=clock: getattr(time, 'ahead', 0) + clock() for clock in letters._CLOCKS]",
            f"import sys; sys.platform = {platform!r}; began -= {ago}; IMPOSE",
            "recognition = letters.Recognition('eng'); recognition.text(b'')",
            "print(recognition.has_time())",
        ]
    )
    with limited(code) as child:
        assert child.stdout.read() == f"{has_time}\n"


def test_by_default_every_file_is_read_within_three_minutes(settings):
    assert settings.EXTRACTION_DEADLINE_SECONDS < 180
    # Its pieces have to be embedded and stored in what is left.
    assert settings.EXTRACTION_SECONDS + settings.OCR_SECONDS <= 150
