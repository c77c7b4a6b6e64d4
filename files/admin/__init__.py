"""The admin of datasets, of the files in them, and of what is stored."""

from files.admin import datasets, places, stored

__all__ = ["datasets", "places", "stored"]
