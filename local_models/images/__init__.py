"""Image generation: a placeholder drawn with Pillow, and marked as one."""
