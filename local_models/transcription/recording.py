"""Decodes audio files of any common format into samples for Whisper, one window at a time."""

import errno
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

import av
import numpy as np
from av.audio.stream import AudioStream
from av.error import FFmpegError

from local_models.errors import InvalidRequestError

#: Samples per second, mono.
SAMPLE_RATE = 16_000
MIN_SECONDS = 0.1
#: A file of a few megabytes can decode to months of silence.
MAX_SECONDS = 6 * 3600
#: All that PyAV raises for damaged or mislabelled files.
DECODING_ERRORS = (FFmpegError, ValueError, LookupError, OSError)
#: Allowed containers. Playlists are excluded, since they make FFmpeg open other files.
CONTAINERS = "aac,aiff,amr,asf,au,avi,caf,flac,matroska,webm,mov,mp4,m4a,mp3,mpeg,mpegts,ogg,w64,wav"


class Recording:
    """The audio of a file, read forwards only, so that memory does not grow with its duration.

    Raises:
        InvalidRequestError: the file cannot be decoded as audio, or is too short or too long.
    """

    def __init__(self, file: BinaryIO) -> None:
        try:
            self._container = av.open(
                _SafeSeekFile(file),
                "r",
                metadata_errors="ignore",
                options={"format_whitelist": CONTAINERS, "protocol_whitelist": "none"},
            )
        except DECODING_ERRORS as error:
            raise _undecodable() from error
        self._chunks = self._decoded()
        self._samples = np.zeros(0, np.float32)
        self._first = 0
        self._end = 0

    @property
    def seconds(self) -> float:
        """Seconds of audio read until now."""
        return self._end / SAMPLE_RATE

    def window(self, start: int, length: int) -> np.ndarray:
        """Return up to ``length`` samples from ``start`` on, as float32 from -1 to 1.

        ``start`` must not decrease. The window is shorter at the end of the recording, and empty after it.
        """
        self._discard_before(start)
        parts = [self._samples]
        while self._end < start + length and (chunk := next(self._chunks, None)) is not None:
            parts.append(chunk)
            self._end += len(chunk)
            if self._end > MAX_SECONDS * SAMPLE_RATE:
                hours = MAX_SECONDS // 3600
                raise InvalidRequestError(
                    f"The recording is longer than {hours} hours. Split it and retry.", param="file"
                )
        if self.seconds < MIN_SECONDS:
            raise InvalidRequestError(
                f"The recording is too short: it must last at least {MIN_SECONDS} seconds.",
                param="file",
                code="audio_too_short",
            )
        self._samples = np.concatenate(parts)
        self._discard_before(start)
        return self._samples[:length]

    def close(self) -> None:
        """Close the decoder; the file stays open."""
        self._container.close()

    def _discard_before(self, start: int) -> None:
        discarded = min(start - self._first, len(self._samples))
        self._samples = self._samples[discarded:]
        self._first += discarded

    def _decoded(self) -> Iterator[np.ndarray]:
        """Generate samples. Damaged packets are skipped; a file with nothing else is refused."""
        if not self._container.streams.audio:
            raise _undecodable()
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        decoded = False
        try:
            for frame in self._frames(self._container.streams.audio[0]):
                decoded = True
                for resampled in resampler.resample(frame):
                    yield resampled.to_ndarray()[0]
            for resampled in resampler.resample(None) if decoded else ():
                yield resampled.to_ndarray()[0]
        except DECODING_ERRORS as error:
            raise _undecodable() from error
        if not decoded:
            raise _undecodable()

    def _frames(self, stream: AudioStream) -> Iterator[av.AudioFrame]:
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except DECODING_ERRORS:
                # The rest of the file cannot be read; flush the decoder.
                packet = None
            with suppress(*DECODING_ERRORS):
                yield from stream.decode(packet)
            if packet is None:
                return


class _SafeSeekFile:
    """A file for a decoder that may seek to impossible offsets in damaged files."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.tell = file.tell
        self._seek = file.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek; an impossible offset is a decoding error rather than a Python exception."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -errno.EINVAL


def _undecodable() -> InvalidRequestError:
    return InvalidRequestError(
        "The file could not be decoded as audio."
        " Supported formats: flac, m4a, mp3, mp4, mpeg, mpga, ogg, wav and webm.",
        param="file",
        code="unsupported_format",
    )
