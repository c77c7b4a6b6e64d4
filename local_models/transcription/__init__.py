"""Transcription: decoding a recording, running Whisper on it, and formatting the transcript."""
