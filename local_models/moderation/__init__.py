"""Moderation: phrases and embedding similarity to examples of each category."""
