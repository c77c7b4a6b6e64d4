"""Samples in, the bytes of a sound file out, as soon as there are any."""

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import av
import numpy as np
from av.audio.stream import AudioStream
from av.filter import Graph

#: Samples a second of every format. OpenAI promises it for ``pcm``, where nothing else would say it.
RATE = 24_000


@dataclass(frozen=True, slots=True)
class Format:
    """How FFmpeg writes a format.

    Attributes:
        container, codec, samples: FFmpeg's names.
        bit_rate: bits a second, where it can be chosen.
        options: of the container.
    """

    container: str
    codec: str
    samples: str
    bit_rate: int = 0
    options: Mapping[str, str] = field(default_factory=dict)


FORMATS = {
    "mp3": Format("mp3", "libmp3lame", "s16p", 64_000, {"write_xing": "0"}),
    # A page is what leaves at once, here a tenth of a second.
    "opus": Format("ogg", "libopus", "s16", 32_000, {"page_duration": "100000"}),
    "aac": Format("adts", "aac", "fltp", 64_000),
    "flac": Format("flac", "flac", "s16"),
}
WAV_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


class Encoder(Protocol):
    """Turns samples into a file."""

    def write(self, samples: bytes) -> bytes:
        """Take 16-bit samples; return what there is of the file, perhaps nothing."""

    def end(self) -> bytes:
        """Return the rest of the file."""


def encoder(name: str, rate: int, tempo: float = 1.0) -> Encoder:
    """Return an encoder for a format.

    Args:
        name: mp3, opus, aac, flac, wav or pcm.
        rate: samples a second of what goes in.
        tempo: how much faster it plays than it came in, at the same pitch: from 0.25.
    """
    source = Source(rate, tempo)
    if name == "pcm":
        return PCM(source)
    if name == "wav":
        return WAV(source)
    return Encoded(source, FORMATS[name])


class Source:
    """Brings samples to our rate and to the tempo that is wanted."""

    def __init__(self, rate: int, tempo: float) -> None:
        self._rate = rate
        self._graph = self._stretching(tempo) if tempo != 1.0 else None

    def frames(self, samples: bytes) -> list[av.AudioFrame]:
        """Return the samples as frames of s16 mono."""
        array = np.frombuffer(samples, np.int16)[None]
        frame = av.AudioFrame.from_ndarray(array, format="s16", layout="mono")
        frame.sample_rate = self._rate
        if self._graph is None:
            return [frame]
        self._graph.push(frame)
        return self._stretched()

    def rest(self) -> list[av.AudioFrame]:
        """Return what the stretching still holds."""
        if self._graph is None:
            return []
        self._graph.push(None)
        return self._stretched()

    def _stretching(self, tempo: float) -> Graph:
        graph = Graph()
        source = graph.add_abuffer(sample_rate=self._rate, format="s16", layout="mono")
        # The filter goes down to half the tempo, so that a quarter takes two of them.
        stretches = [graph.add("atempo", str(math.sqrt(tempo))) for _ in range(2)]
        even = graph.add("aformat", "sample_fmts=s16:channel_layouts=mono")
        sink = graph.add("abuffersink")
        graph.link_nodes(source, *stretches, even, sink)
        graph.configure()
        return graph

    def _stretched(self) -> list[av.AudioFrame]:
        frames: list[av.AudioFrame] = []
        while self._graph is not None:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                break
            if isinstance(frame, av.AudioFrame):
                frames.append(frame)
        return frames


class PCM:
    """Samples without any header: 24 kHz, 16 bits, little-endian, one channel."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)

    def write(self, samples: bytes) -> bytes:
        return self._bytes(self._source.frames(samples))

    def end(self) -> bytes:
        return self._bytes([*self._source.rest(), None])

    def _bytes(self, frames: Iterable[av.AudioFrame | None]) -> bytes:
        return b"".join(
            resampled.to_ndarray().tobytes()
            for frame in frames
            for resampled in self._resampler.resample(frame)
        )


class WAV:
    """The same samples behind a header, which holds their number: nothing comes before the end."""

    def __init__(self, source: Source) -> None:
        self._pcm = PCM(source)
        self._samples = bytearray()

    def write(self, samples: bytes) -> bytes:
        self._samples += self._pcm.write(samples)
        return b""

    def end(self) -> bytes:
        self._samples += self._pcm.end()
        size = len(self._samples)
        header = WAV_HEADER.pack(
            *(b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16, b"data", size)
        )
        return header + bytes(self._samples)


class _Outbox:
    """A file that can only be written to, and is emptied as it fills."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def taken(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


class Encoded:
    """A file of a compressed format."""

    def __init__(self, source: Source, form: Format) -> None:
        self._source = source
        self._outbox = _Outbox()
        # Nothing can be added to the beginning later, and each packet should leave at once.
        options = {"flush_packets": "1", **form.options}
        self._container = av.open(self._outbox, "w", format=form.container, options=options)
        stream = self._container.add_stream(form.codec, rate=RATE)
        assert isinstance(stream, AudioStream)  # noqa: S101  # all our codecs are of sound
        stream.layout = "mono"
        stream.format = form.samples
        if form.bit_rate:
            stream.bit_rate = form.bit_rate
        self._stream = stream
        stream.codec_context.open()
        self._resampler = av.AudioResampler(
            format=form.samples, layout="mono", rate=RATE, frame_size=stream.codec_context.frame_size or None
        )

    def write(self, samples: bytes) -> bytes:
        self._encode(self._source.frames(samples))
        return self._outbox.taken()

    def end(self) -> bytes:
        self._encode([*self._source.rest(), None])
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._outbox.taken()

    def _encode(self, frames: Iterable[av.AudioFrame | None]) -> None:
        for frame in frames:
            for resampled in self._resampler.resample(frame):
                self._container.mux(self._stream.encode(resampled))
