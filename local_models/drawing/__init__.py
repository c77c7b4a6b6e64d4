"""Pictures by Pillow: a stand-in for an image model, and marked as one."""
