"""Reads the extracted text of a file in batches, since it may exceed the available memory."""

from django.db.models import Max

from files.models import Chunk, DatasetFile
from gtapi.errors import Conflict

#: Chunks in one batch.
BATCH = 100


class ExtractedText:
    """The texts of a file's chunks, in order. No transaction stays open between batches.

    If the file is reprocessed meanwhile, its chunks are replaced by chunks with higher ids, so batches never mix
    the two.
    """

    def __init__(self, dataset_file: DatasetFile) -> None:
        chunks = Chunk.objects.of(dataset_file.tenant_id, [dataset_file.dataset_id]).filter(
            dataset_file=dataset_file
        )
        ends = chunks.aggregate(newest=Max("pk"), last=Max("position"))
        self._chunks = chunks.order_by("position").values_list("position", "text")
        self._newest: int | None = ends["newest"]
        # Positions begin at 0.
        self._read = -1
        self._last: int = self._read if ends["last"] is None else ends["last"]

    def batch(self) -> list[str]:
        """Return the next texts; empty at the end.

        Raises:
            Conflict: the file was deleted or reprocessed meanwhile.
        """
        if self._read == self._last:
            return []
        rows = list(self._chunks.filter(pk__lte=self._newest, position__gt=self._read)[:BATCH])
        if not rows:
            raise Conflict("The file was changed while it was read.", code="file_changed")
        self._read = rows[-1][0]
        return [text for _, text in rows]
