"""Speech synthesis: eSpeak NG, and encoding of its samples by FFmpeg."""
