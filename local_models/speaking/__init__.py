"""From a text to a file that plays it: eSpeak NG, and the encoders of FFmpeg."""
