"""Encodes 16-bit samples into an audio file as they arrive, with FFmpeg."""

import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.audio.stream import AudioStream
from av.filter import Graph

#: Samples per second of every format. OpenAI promises it for ``pcm``, which has no header.
SAMPLE_RATE = 24_000


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """FFmpeg's settings for a format.

    Attributes:
        container, codec, sample_format: FFmpeg's names.
        bit_rate: bits per second, where it can be chosen.
        options: of the container.
        buffered: the header is written last, so the file is sent at the end.
    """

    container: str
    codec: str
    sample_format: str = "s16"
    bit_rate: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    buffered: bool = False


FORMATS = {
    "mp3": AudioFormat("mp3", "libmp3lame", "s16p", 64_000, {"write_xing": "0"}),
    # A page is the smallest unit that can be sent, here a tenth of a second.
    "opus": AudioFormat("ogg", "libopus", "s16", 32_000, {"page_duration": "100000"}),
    "aac": AudioFormat("adts", "aac", "fltp", 64_000),
    "flac": AudioFormat("flac", "flac"),
    "wav": AudioFormat("wav", "pcm_s16le", options={"fflags": "+bitexact"}, buffered=True),
    "pcm": AudioFormat("s16le", "pcm_s16le"),
}


class SpeechEncoder:
    """Encodes one file.

    Args:
        name: a key of ``FORMATS``.
        rate: samples per second of the input.
        tempo: playback speed at the same pitch, at least 0.25.
    """

    def __init__(self, name: str, rate: int, tempo: float = 1.0) -> None:
        audio_format = FORMATS[name]
        self._rate = rate
        self._samples_in = 0
        self._buffered = audio_format.buffered
        self._output = io.BytesIO() if audio_format.buffered else _UnseekableBuffer()
        options = {"flush_packets": "1", **audio_format.options}
        self._container = av.open(self._output, "w", format=audio_format.container, options=options)
        stream = self._container.add_stream(audio_format.codec, rate=SAMPLE_RATE)
        assert isinstance(stream, AudioStream)  # noqa: S101  # all these codecs encode audio
        stream.layout = "mono"
        stream.format = audio_format.sample_format
        if audio_format.bit_rate:
            stream.bit_rate = audio_format.bit_rate
        stream.codec_context.open()
        self._stream = stream
        self._graph = _filters(rate, tempo, audio_format.sample_format, stream.codec_context.frame_size)

    def write(self, samples: bytes) -> bytes:
        """Encode 16-bit mono samples; return what has become available of the file, which may be nothing."""
        frame = av.AudioFrame.from_ndarray(
            np.frombuffer(samples, np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._samples_in
        self._samples_in += frame.samples
        self._encode(frame)
        return b"" if self._buffered else self._take()

    def end(self) -> bytes:
        """Return the rest of the file."""
        self._encode(None)
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._take()

    def _encode(self, frame: av.AudioFrame | None) -> None:
        self._graph.push(frame)
        for filtered in _pull(self._graph):
            self._container.mux(self._stream.encode(filtered))

    def _take(self) -> bytes:
        data = self._output.getvalue()
        self._output.seek(0)
        self._output.truncate()
        return data


class _UnseekableBuffer(io.BytesIO):
    """A buffer to which FFmpeg only appends, so that it can be emptied at any time."""

    def seekable(self) -> bool:
        return False


def _filters(rate: int, tempo: float, sample_format: str, frame_size: int) -> Graph:
    """Return the filters that change the tempo, the sample rate and the sample format."""
    graph = Graph()
    filters = [graph.add_abuffer(sample_rate=rate, format="s16", layout="mono")]
    if tempo != 1.0:
        # One filter goes down to half the tempo, so a quarter takes two.
        filters += [graph.add("atempo", str(math.sqrt(tempo))) for _ in range(2)]
    filters.append(graph.add("aresample", str(SAMPLE_RATE)))
    filters.append(graph.add("aformat", f"sample_fmts={sample_format}:channel_layouts=mono"))
    if frame_size:
        filters.append(graph.add("asetnsamples", f"n={frame_size}:p=0"))
    filters.append(graph.add("abuffersink"))
    graph.link_nodes(*filters)
    graph.configure()
    return graph


def _pull(graph: Graph) -> Iterator[av.AudioFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        if isinstance(frame, av.AudioFrame):
            yield frame
