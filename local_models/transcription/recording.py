"""Recordings of any common format, read as samples for Whisper, a window at a time."""

import errno
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

import av
import numpy as np
from av.audio.stream import AudioStream
from av.error import FFmpegError

from local_models.errors import InvalidRequestError

#: Samples a second, in one channel.
RATE = 16_000
MIN_SECONDS = 0.1
#: A file of a few megabytes can unpack to months of silence.
MAX_SECONDS = 6 * 3600
#: What decoding raises, all of it, where a file is not what it says.
DAMAGED = (FFmpegError, ValueError, LookupError, OSError)
#: What may be in a file. Above all there are no playlists, which would make the decoder open other files.
CONTAINERS = "aac,aiff,amr,asf,au,avi,caf,flac,matroska,webm,mov,mp4,m4a,mp3,mpeg,mpegts,ogg,w64,wav"


class Recording:
    """The sound in a file, in the order of time; what has been left behind is forgotten.

    Raises:
        InvalidRequestError: there is no sound in the file that could be decoded, or too little or too much.
    """

    def __init__(self, file: BinaryIO) -> None:
        try:
            self._container = av.open(
                _File(file),
                "r",
                metadata_errors="ignore",
                options={"format_whitelist": CONTAINERS, "protocol_whitelist": "none"},
            )
        except DAMAGED as error:
            raise _undecodable() from error
        self._chunks = self._decoded()
        self._held = np.zeros(0, np.float32)
        self._first = 0
        self._known_end = 0

    @property
    def seconds(self) -> float:
        """The length of what has been read until now."""
        return self._known_end / RATE

    def window(self, start: int, length: int) -> np.ndarray:
        """Return the samples from ``start`` on, at most ``length``, as float32 from -1 to 1.

        Starts must not go back. The window is shorter at the end of the recording, and empty after it.
        """
        self._forget(start)
        parts = [self._held]
        while self._known_end < start + length and (chunk := next(self._chunks, None)) is not None:
            parts.append(chunk)
            self._known_end += len(chunk)
            if self._known_end > MAX_SECONDS * RATE:
                hours = MAX_SECONDS // 3600
                raise InvalidRequestError(f"The recording is longer than {hours} hours.", param="file")
        if self.seconds < MIN_SECONDS:
            raise InvalidRequestError(
                f"The recording is too short: it has to last {MIN_SECONDS} seconds at least.",
                param="file",
                code="audio_too_short",
            )
        self._held = np.concatenate(parts)
        self._forget(start)
        return self._held[:length]

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()

    def _forget(self, start: int) -> None:
        gone = min(start - self._first, len(self._held))
        self._held = self._held[gone:]
        self._first += gone

    def _decoded(self) -> Iterator[np.ndarray]:
        """Generate samples. Damaged packets are left out, unless nothing else is there."""
        if not self._container.streams.audio:
            raise _undecodable()
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        heard = False
        try:
            for frame in self._frames(self._container.streams.audio[0]):
                heard = True
                for resampled in resampler.resample(frame):
                    yield resampled.to_ndarray()[0]
            for resampled in resampler.resample(None) if heard else ():
                yield resampled.to_ndarray()[0]
        except DAMAGED as error:
            raise _undecodable() from error
        if not heard:
            raise _undecodable()

    def _frames(self, stream: AudioStream) -> Iterator[av.AudioFrame]:
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except DAMAGED:
                # The rest of the file is cut off; the decoder still holds what came before.
                packet = None
            # A damaged packet is left out.
            with suppress(*DAMAGED):
                yield from stream.decode(packet)
            if packet is None:
                return


class _File:
    """A file to a decoder that is misled by what is in it."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.tell = file.tell
        self._seek = file.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place. One that cannot be there is an error of the decoder's, and not of Python's."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -errno.EINVAL


def _undecodable() -> InvalidRequestError:
    return InvalidRequestError(
        "The file could not be decoded as audio. Supported are flac, m4a, mp3, mp4, mpeg, mpga, ogg, wav and webm.",
        param="file",
        code="unsupported_format",
    )
