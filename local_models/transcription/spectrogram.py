"""The log-mel spectrogram that Whisper hears (Radford and others, 2022, section 2.2), in numpy."""

from functools import cache

import numpy as np

from local_models.transcription.recording import RATE

#: Seconds that the model hears at once; what is missing is silence.
WINDOW = 30
#: Samples of one Fourier transform, and from one to the next.
WIDTH = 400
HOP = 160
BANDS = 80
FRAMES = WINDOW * RATE // HOP
#: Slaney's mel scale is linear below this frequency (in Hz) and logarithmic above.
BREAK_HZ = 1000.0
BREAK_MEL = 15.0
LOG_STEP = np.log(6.4) / 27


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Return the spectrogram of up to 30 seconds: float32, of shape (1, 80, 3000)."""
    padded = np.zeros(WINDOW * RATE, np.float32)
    padded[: len(samples)] = samples
    framed = np.lib.stride_tricks.sliding_window_view(np.pad(padded, WIDTH // 2, mode="reflect"), WIDTH)
    window = np.hanning(WIDTH + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(framed[::HOP][:FRAMES] * window, axis=1)) ** 2
    bands = np.log10(np.maximum(filters() @ power.T.astype(np.float32), 1e-10))
    # Everything more than 80 dB below the loudest point is the same silence.
    bands = np.maximum(bands, bands.max() - 8.0)
    return np.ascontiguousarray((bands[None] + 4.0) / 4.0, dtype=np.float32)


@cache
def filters() -> np.ndarray:
    """Return the triangular filters of the mel bands, each of the same area: shape (80, 201)."""
    frequencies = np.linspace(0, RATE / 2, WIDTH // 2 + 1)
    edges = _hertz(np.linspace(0, _mel(RATE / 2), BANDS + 2))
    widths = np.diff(edges)
    distances = edges[:, None] - frequencies[None]
    rising = -distances[:-2] / widths[:-1, None]
    falling = distances[2:] / widths[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    scaled: np.ndarray = (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
    return scaled


def _mel(hertz: float) -> float:
    return float(BREAK_MEL + np.log(hertz / BREAK_HZ) / LOG_STEP)


def _hertz(mel: np.ndarray) -> np.ndarray:
    linear = mel * BREAK_HZ / BREAK_MEL
    return np.where(mel >= BREAK_MEL, BREAK_HZ * np.exp(LOG_STEP * (mel - BREAK_MEL)), linear)
