"""Models of chunks, the parts of a file's text that searches find, and of their vectors.

Both tables have a tenant column. Composite foreign keys, created in the migration, refuse a chunk whose tenant or
dataset differs from its file's, and delete chunks and vectors with it; Django leaves that to the database.
"""

from typing import Any

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import F, Func, Value

from files.models.datasets import Dataset
from files.models.files import DatasetFile
from tenants.models import Tenant

#: Typographic punctuation that PostgreSQL takes for letters in some locales, and its plain equivalents.
PRINTED = (
    "\u2018\u2019\u201a\u201b\u2010\u2011\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a\u2026\u2013\u2014\u2022\u00b7\u00a0\u202f"
    "\u3000\u3001\u3002\uff0c\uff1a\uff1b\uff01\uff1f\uff08\uff09"
)
PLAIN = "''''--" + '"' * 5 + " " * (len(PRINTED) - 11)
_plain = str.maketrans(PRINTED, PLAIN)


def plain(text: str) -> str:
    """Return a text with typographic punctuation replaced, as it is indexed."""
    return text.translate(_plain)


def _plain_column(name: str) -> Func:
    characters = Value(PRINTED), Value(PLAIN)
    return Func(F(name), *characters, function="translate", output_field=models.TextField())


class HalfVectorField(models.Field):  # type: ignore[type-arg] # cannot be subscripted at run time
    """pgvector's ``halfvec`` of any dimension, as text such as ``[0.1,0.2]``."""

    def db_type(self, connection: Any) -> str:
        return "halfvec"


def vector_text(vector: list[float]) -> str:
    """Return a vector as pgvector reads it."""
    return "[" + ",".join(map(repr, vector)) + "]"


class ChunkQuerySet(models.QuerySet["Chunk"]):
    def of(self, tenant_id: int, dataset_ids: list[str]) -> "ChunkQuerySet":
        """The chunks of a tenant's datasets. All access goes through here, so that the tenant is always named."""
        return self.filter(tenant=tenant_id, dataset__in=dataset_ids)


class Chunk(models.Model):
    """A part of a file's text, with its position, page and heading."""

    tenant = models.ForeignKey(
        Tenant, models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    dataset = models.ForeignKey(
        Dataset, models.DO_NOTHING, related_name="chunks", db_index=False, db_constraint=False
    )
    dataset_file = models.ForeignKey(
        DatasetFile,
        models.DO_NOTHING,
        related_name="chunks",
        db_index=False,
        db_constraint=False,
    )
    position = models.PositiveIntegerField()
    text = models.TextField()
    tokens = models.PositiveIntegerField()
    page = models.PositiveIntegerField(null=True)
    heading = models.CharField(max_length=300, blank=True)
    words = models.GeneratedField(
        expression=SearchVector(_plain_column("heading"), _plain_column("text"), config="english"),
        output_field=SearchVectorField(),
        db_persist=True,
    )
    #: Bigrams of text in scripts without spaces, with its other words; NULL for other texts. A trigger fills it,
    #: see files.search.bigrams.
    bigrams = SearchVectorField(null=True, editable=False)

    objects = ChunkQuerySet.as_manager()

    class Meta:
        ordering = ["dataset_file", "position"]
        constraints = [
            models.UniqueConstraint(fields=["dataset_file", "position"], name="files_one_chunk_a_position"),
            models.UniqueConstraint(fields=["id", "tenant", "dataset"], name="files_chunk_and_tenant"),
        ]
        indexes = [
            GinIndex(fields=["words"], name="files_chunk_words"),
            GinIndex(
                fields=["bigrams"], condition=models.Q(bigrams__isnull=False), name="files_chunk_bigrams"
            ),
            # With these two columns the index alone tells which file a chunk is in.
            models.Index(fields=["tenant", "dataset", "dataset_file", "id"], name="files_chunk_dataset"),
        ]

    def __str__(self) -> str:
        return f"chunk {self.position}"


class ChunkVector(models.Model):
    """A chunk's vector in one generation of its dataset's vectors."""

    chunk = models.ForeignKey(
        Chunk, models.DO_NOTHING, related_name="vectors", db_index=False, db_constraint=False
    )
    tenant = models.ForeignKey(
        Tenant, models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    dataset = models.ForeignKey(
        Dataset, models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    generation = models.PositiveIntegerField()
    dimensions = models.PositiveSmallIntegerField()
    vector = HalfVectorField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chunk", "generation"], name="files_one_vector_a_generation")
        ]
        indexes = [models.Index(fields=["tenant", "dataset", "generation"], name="files_vector_dataset")]

    def __str__(self) -> str:
        return f"{self.chunk_id}/{self.generation}"
