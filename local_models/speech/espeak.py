"""eSpeak NG through its C interface (speak_lib.h)."""

import ctypes
import tempfile
from collections.abc import Callable
from pathlib import Path

import espeakng_loader

#: Sound is handed over, and ``espeak_Synth`` returns when all of it has been.
SYNCHRONOUS = 2
#: The text is UTF-8; the last sentence ends with the pause of a sentence.
UTF8 = 1
END_PAUSE = 0x1000
WORDS_A_MINUTE, WORD_GAP = 1, 7
#: Its buffer for the path of its data has 160 bytes.
LONGEST_PATH = 120

#: Takes 16-bit samples; true ends the speech.
Sink = Callable[[bytes], bool]
SOUND = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class UnknownVoice(Exception):
    """eSpeak has no voice of that name."""


class Espeak:
    """The library. It has one state for the whole process: only one thread may ever use it.

    Attributes:
        rate: samples a second, in one channel.

    Raises:
        OSError: the library or its data cannot be used.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path()
        if len(data) > LONGEST_PATH:
            self._shortcut = tempfile.TemporaryDirectory(prefix="espeak-")
            link = Path(self._shortcut.name) / "espeak-ng-data"
            link.symlink_to(data)
            data = str(link)
        self.rate: int = self._library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), 0)
        if self.rate <= 0:
            raise OSError("eSpeak NG found no data")
        self._sink: Sink | None = None
        self._fault: Exception | None = None
        # The library keeps only the address, so the object has to stay.
        self._callback = SOUND(self._arrived)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: str, *, words_a_minute: int, gap_ms: int, sink: Sink) -> None:
        """Speak ``text`` into ``sink``, a few hundredths of a second at a time.

        Args:
            text: read as plain text, without markup.
            voice: eSpeak's name of it.
            words_a_minute: from 80 to 450.
            gap_ms: extra silence between words.
            sink: what it raises comes out of here.

        Raises:
            UnknownVoice: there is no such voice.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UnknownVoice
        self._library.espeak_SetParameter(WORDS_A_MINUTE, words_a_minute, 0)
        self._library.espeak_SetParameter(WORD_GAP, gap_ms // 10, 0)
        # C strings end at the first NUL.
        data = text.replace("\0", " ").encode()
        self._sink, self._fault = sink, None
        self._library.espeak_Synth(
            data, ctypes.c_size_t(len(data) + 1), 0, 1, 0, UTF8 | END_PAUSE, None, None
        )
        if self._fault is not None:
            raise self._fault

    def _arrived(self, samples: int | None, count: int, _: int | None) -> int:
        if not samples or self._sink is None:
            return 0
        try:
            return int(self._sink(ctypes.string_at(samples, count * 2)))
        except Exception as error:  # noqa: BLE001  # an exception cannot pass through C
            self._fault = error
            return 1
