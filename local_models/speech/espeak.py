"""Bindings to eSpeak NG's C library (speak_lib.h)."""

import ctypes
import tempfile
from collections.abc import Callable
from pathlib import Path

import espeakng_loader

#: Samples go to the callback, and ``espeak_Synth`` returns after the last ones.
SYNCHRONOUS = 2
#: The text is UTF-8; a pause follows the last sentence.
UTF8 = 1
END_PAUSE = 0x1000
RATE_PARAMETER, WORD_GAP_PARAMETER = 1, 7
#: eSpeak's buffer for the path of its data has 160 bytes.
MAX_PATH = 120

#: Takes 16-bit samples; returns true to stop the speech.
Sink = Callable[[bytes], bool]
SYNTH_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class UnknownVoice(Exception):
    """eSpeak does not have a voice of that name."""


class Espeak:
    """The library. It has global state: only one thread may ever use it.

    Attributes:
        rate: samples per second, mono.

    Raises:
        OSError: the library or its data cannot be loaded.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path()
        if len(data) > MAX_PATH:
            self._shortcut = tempfile.TemporaryDirectory(prefix="espeak-")
            link = Path(self._shortcut.name) / "espeak-ng-data"
            link.symlink_to(data)
            data = str(link)
        self.rate: int = self._library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), 0)
        if self.rate <= 0:
            raise OSError("eSpeak NG could not load its data")
        self._sink: Sink | None = None
        self._error: Exception | None = None
        # The library stores only the address, so this reference keeps the object alive.
        self._callback = SYNTH_CALLBACK(self._on_samples)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: str, *, words_per_minute: int, gap_ms: int, sink: Sink) -> None:
        """Pass the speech to ``sink``, a few hundredths of a second at a time.

        Args:
            text: read as plain text, without markup.
            voice: an eSpeak voice.
            words_per_minute: from 80 to 450.
            gap_ms: extra silence between words.
            sink: its exceptions are raised here.

        Raises:
            UnknownVoice: the voice does not exist.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UnknownVoice
        self._library.espeak_SetParameter(RATE_PARAMETER, words_per_minute, 0)
        self._library.espeak_SetParameter(WORD_GAP_PARAMETER, gap_ms // 10, 0)
        # C strings end at the first NUL.
        data = text.replace("\0", " ").encode()
        self._sink, self._error = sink, None
        self._library.espeak_Synth(
            data, ctypes.c_size_t(len(data) + 1), 0, 1, 0, UTF8 | END_PAUSE, None, None
        )
        if self._error is not None:
            raise self._error

    def _on_samples(self, samples: int | None, count: int, _: int | None) -> int:
        if not samples or self._sink is None:
            return 0
        try:
            return int(self._sink(ctypes.string_at(samples, count * 2)))
        except Exception as error:  # noqa: BLE001  # an exception cannot pass through C
            self._error = error
            return 1
