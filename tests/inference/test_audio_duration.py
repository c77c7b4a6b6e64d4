"""The duration of audio, read from the headers of files that a real encoder has written."""

import struct
from pathlib import Path

import pytest

from inference import audio_duration
from tests.e2e.media import wav
from tests.recordings import encoded

#: Container, codec, and how far off the reading may be, as a part of the length and in milliseconds.
FORMATS = [
    ("wav", "pcm_s16le", 0, 0),
    ("flac", "flac", 0, 0),
    ("ogg", "libopus", 0, 1),
    ("mp3", "libmp3lame", 0, 60),
    ("ipod", "aac", 0, 30),
    ("adts", "aac", 0.05, 60),
    # Unknown formats are estimated by their size.
    ("webm", "libopus", 1, 0),
]


def length_of(data: bytes, folder: Path) -> int:
    path = folder / "sound"
    path.write_bytes(data)
    return audio_duration.length_ms(path)


@pytest.mark.parametrize("seconds", [0.5, 7.25])
@pytest.mark.parametrize(("container", "codec", "part", "more"), FORMATS)
def test_duration_is_read_from_the_headers(tmp_path, container, codec, part, more, seconds):
    found = length_of(encoded(container, codec, seconds), tmp_path)
    assert abs(found - seconds * 1000) <= seconds * 1000 * part + more


def test_wav_written_as_a_stream_is_measured_by_its_size(tmp_path):
    whole = wav(2)
    for unknown in (0, 0xFFFFFFFF):
        streamed = whole[:40] + struct.pack("<I", unknown) + whole[44:]
        assert length_of(streamed, tmp_path) == 2000


@pytest.mark.parametrize(
    "head",
    [b"", b"RIFF", b"RIFF----WAVE", b"RIFF----WAVEdata\x01\0\0\0", b"fLaC", b"OggS", b"OggS" + bytes(60), b"----ftyp",
     b"----ftyp----mvhd" + bytes(40), b"ID3", b"ID3" + b"\xff" * 20, b"\xff\xfb", b"\xff\xff\xff\xff" + bytes(9),
     b"\xff\xf1\xff\xff" + bytes(9), b"\xff\xfb\x0f\xff" + bytes(500), b"\x1aE\xdf\xa3", b"no sound at all"],
)  # fmt: skip
@pytest.mark.parametrize("size", [0, 8000])
def test_invalid_headers_give_an_estimate(tmp_path, head, size):
    data = head + bytes(size)
    assert 1 <= length_of(data, tmp_path) <= max(1, len(data))
