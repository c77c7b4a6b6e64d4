"""Datasets, the files in them, and what a search finds: chunks of text and their vectors."""

from files.models.chunks import Chunk, ChunkVector
from files.models.datasets import Dataset, DatasetGrant, dataset_id
from files.models.files import DatasetFile, File, FileBatch, IngestTurn, OrphanedBlob, UploadKey, file_id

__all__ = [
    "Chunk",
    "ChunkVector",
    "Dataset",
    "DatasetFile",
    "DatasetGrant",
    "File",
    "FileBatch",
    "IngestTurn",
    "OrphanedBlob",
    "UploadKey",
    "dataset_id",
    "file_id",
]
