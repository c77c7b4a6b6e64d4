"""From a recording to its words: decoding, spectrogram, Whisper, transcript."""
