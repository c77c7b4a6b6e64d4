"""The text that was found in a file, read as it is sent: it may be larger than there is memory for."""

from django.db.models import Max

from files.models import Chunk, DatasetFile
from gtapi.errors import Conflict

#: Chunks that are read at once.
BATCH = 100


class Contents:
    """The texts of a file's chunks, in their order. No transaction is held from one batch to the next.

    Processed again, a file has chunks with higher ids in place of all that were there: what is read is what there
    was at the beginning, or nothing.
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
        """Return the next texts; empty where there are no more.

        Raises:
            Conflict: the file was deleted meanwhile, or is being processed again with other chunks.
        """
        if self._read == self._last:
            return []
        rows = list(self._chunks.filter(pk__lte=self._newest, position__gt=self._read)[:BATCH])
        if not rows:
            raise Conflict("The file was changed while it was read.", code="file_changed")
        self._read = rows[-1][0]
        return [text for _, text in rows]
