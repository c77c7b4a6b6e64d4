"""Recordings and films that a real encoder writes."""

import io

import av
import numpy as np

RATE = 48000


def encoded(container: str, codec: str, seconds: float) -> bytes:
    """A tone with some noise, so that no codec can leave it out."""
    held = io.BytesIO()
    count = int(RATE * seconds)
    noise = np.random.default_rng(1).normal(0, 1000, count)
    samples = (np.sin(np.arange(count) * 440 * 2 * np.pi / RATE) * 8000 + noise).astype(np.int16)
    with av.open(held, "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE, layout="mono")
        for at in range(0, count, 4800):
            frame = av.AudioFrame.from_ndarray(samples[at : at + 4800].reshape(1, -1), "s16", "mono")
            frame.sample_rate, frame.pts = RATE, at
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return held.getvalue()


def film(container: str) -> bytes:
    """Return a video of grey images with a silent audio track."""
    held = io.BytesIO()
    with av.open(held, "w", format=container) as file:
        seen = file.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        heard = file.add_stream("aac", rate=RATE, layout="mono")
        picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 128, np.uint8))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, RATE), np.int16), "s16", "mono")
        silence.sample_rate = RATE
        for stream, frame in ((seen, picture), (heard, silence)):
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return held.getvalue()
