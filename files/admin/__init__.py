"""The admin of datasets, of the files in them, and of what is stored."""

from files.admin import dataset_files, datasets, stored

__all__ = ["dataset_files", "datasets", "stored"]
