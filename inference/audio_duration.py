"""The duration of audio files, read from their headers; metered if a provider does not report one.

Nothing is decoded, and only the two ends of a file are read, so that the size of an upload does not matter.
Formats: WAV, FLAC, Ogg (Opus, Vorbis), MP3, AAC in ADTS frames, and MP4. The duration of any other format is
estimated from the size.
"""

import struct
from collections.abc import Callable
from pathlib import Path

#: How much of the beginning and of the end of a file is read, in bytes.
READ_BYTES = 256 * 1024
#: The bitrate of unknown formats: 64 kbit/s, which is usual for speech.
UNKNOWN_BYTES_PER_MS = 8
#: Kilobits per second of MP3, by the index in a frame's header: for MPEG 1, and for MPEG 2 and 2.5.
_MP3_KBITS = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


def length_ms(path: Path) -> int:
    """Return the approximate duration of an audio file in milliseconds, at least 1, whatever its content."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(READ_BYTES)
        file.seek(max(0, size - READ_BYTES))
        tail = file.read(READ_BYTES)
    try:
        seconds = _reader(head)(head, tail, size)
    except (struct.error, ValueError, IndexError, ZeroDivisionError):
        # The headers are invalid.
        seconds = _unknown(head, tail, size)
    return max(1, int(seconds * 1000))


def _reader(head: bytes) -> Callable[[bytes, bytes, int], float]:
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return _wav
    if head.startswith(b"fLaC"):
        return _flac
    if head.startswith(b"OggS"):
        return _ogg
    if head[4:8] == b"ftyp":
        return _mp4
    if head.startswith(b"ID3") or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
        return _frames
    return _unknown


def _unknown(head: bytes, tail: bytes, size: int) -> float:
    return size / UNKNOWN_BYTES_PER_MS / 1000


def _wav(head: bytes, tail: bytes, size: int) -> float:
    at, rate = 12, 0
    while True:
        name, length = struct.unpack_from("<4sI", head, at)
        at += 8
        if name == b"fmt ":
            (rate,) = struct.unpack_from("<I", head, at + 8)
        if name == b"data":
            # A file that was written as a stream has the length 0, or the largest number.
            left = max(0, size - at)
            return float(min(length or left, left) / rate)
        at += length + length % 2


def _flac(head: bytes, tail: bytes, size: int) -> float:
    packed = int.from_bytes(head[18:26], "big")
    rate, samples = packed >> 44, packed & (1 << 36) - 1
    if not samples:
        raise ValueError("the header has no length")
    return samples / rate


def _ogg(head: bytes, tail: bytes, size: int) -> float:
    (samples,) = struct.unpack_from("<Q", tail, tail.rindex(b"OggS") + 6)
    if (opus := head.find(b"OpusHead")) >= 0:
        (skipped,) = struct.unpack_from("<H", head, opus + 10)
        return float(max(0, samples - skipped) / 48000)
    (rate,) = struct.unpack_from("<I", head, head.index(b"\x01vorbis") + 12)
    return float(samples / rate)


def _mp4(head: bytes, tail: bytes, size: int) -> float:
    data = head if b"mvhd" in head else tail
    at = data.index(b"mvhd") + 4
    # Version 1 has times of 64 bits.
    form = ">IQ" if data[at] else ">II"
    scale, length = struct.unpack_from(form, data, at + (20 if data[at] else 12))
    return float(length / scale)


def _frames(head: bytes, tail: bytes, size: int) -> float:
    at = 0
    if head.startswith(b"ID3"):
        at = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    header = int.from_bytes(head[at : at + 4], "big")
    if header >> 21 != 0x7FF:
        raise ValueError("not a frame")
    # The two bits that name MPEG's layer are 0 in AAC.
    return _mp3(head, header, at, size) if header >> 17 & 3 else _aac(head, at, size)


def _mp3(head: bytes, header: int, at: int, size: int) -> float:
    version = header >> 19 & 3
    kbits = _MP3_KBITS[0 if version == 3 else 1][header >> 12 & 15]
    rate = _MP3_RATES[version][header >> 10 & 3] if version in _MP3_RATES else 0
    for name in (b"Xing", b"Info"):
        # The first frame of a file with a variable bitrate has the number of frames.
        found = head.find(name, at, at + 200)
        if found >= 0 and head[found + 7] & 1:
            (frames,) = struct.unpack_from(">I", head, found + 8)
            return float(frames * (1152 if version == 3 else 576) / rate)
    return (size - at) / (kbits * 125)


def _aac(head: bytes, at: int, size: int) -> float:
    """Count the frames in ``head``, of 1024 samples each, and extrapolate to the whole file."""
    rate = _AAC_RATES[head[at + 2] >> 2 & 15]
    first, frames = at, 0
    while at + 6 < len(head) and (length := (head[at + 3] & 3) << 11 | head[at + 4] << 3 | head[at + 5] >> 5):
        at += length
        frames += 1
    return (size - first) / (at - first) * frames * 1024 / rate
