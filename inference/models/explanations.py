"""Explanations: which chunks a request was given, stored for tenants that have it enabled."""

from django.db import connection, models, transaction
from django.utils import timezone

from files.models import DatasetFile
from tenants.models import Tenant

#: Keys of a chunk that identify its dataset file, and keys of its text.
DATASET_FILE_KEYS = ("dataset_id", "file_id")
TEXT_KEYS = ("heading", "text")
# SKIP LOCKED: a response must not wait for a transaction that deletes a dataset file.
STORE_TEXTS = """
    WITH living AS (
        SELECT id, dataset_id, file_id FROM files_datasetfile
        WHERE tenant_id = %s AND (dataset_id, file_id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
        FOR KEY SHARE SKIP LOCKED
    )
    INSERT INTO inference_explainedtext (explanation_id, dataset_file_id, position, heading, text)
    SELECT %s, living.id, chunk.position - 1, chunk.heading, chunk.text
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])
        WITH ORDINALITY chunk (dataset_id, file_id, heading, text, position)
    JOIN living ON living.dataset_id = chunk.dataset_id AND living.file_id = chunk.file_id
"""


class Explanation(models.Model):
    """The chunks that one request was given.

    ``passages`` are objects with ``file_id``, ``dataset_id``, ``filename``, ``page``, ``relevance``, ``similarity``
    (null without a vector), ``score`` and ``given`` (whether it went into the prompt), best first.
    The text of each is an ``ExplainedText``.
    """

    request_id = models.CharField(max_length=40, unique=True)
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="+")
    key_id = models.BigIntegerField()
    model = models.CharField(max_length=200)
    agent_version = models.IntegerField(null=True)
    query = models.TextField()
    passages = models.JSONField(default=list)
    passage_tokens = models.PositiveIntegerField(default=0)
    prompt_tokens = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "explained answer"
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["tenant", "-created_at"], name="inference_explanation_tenant"),
            models.Index(fields=["-created_at", "-id"], name="inference_explanation_newest"),
        ]

    def __str__(self) -> str:
        return self.request_id

    @transaction.atomic
    def store(self) -> None:
        """Insert the explanation, and the ``heading`` and ``text`` of its chunks as rows of ``ExplainedText``.

        Texts of files that have been deleted meanwhile are not stored.
        """
        chunks = self.passages
        self.passages = [{key: chunk[key] for key in chunk if key not in TEXT_KEYS} for chunk in chunks]
        self.save(force_insert=True)
        dataset_ids, file_ids, *texts = (
            [chunk[key] for chunk in chunks] for key in (*DATASET_FILE_KEYS, *TEXT_KEYS)
        )
        with connection.cursor() as cursor:
            cursor.execute(
                STORE_TEXTS, [self.tenant_id, dataset_ids, file_ids, self.pk, dataset_ids, file_ids, *texts]
            )


class ExplainedText(models.Model):
    """The text of a chunk, by its position among an explanation's chunks.

    It is deleted with its dataset file by foreign keys that a migration creates, whatever deletes the row; Django
    leaves this to the database.
    """

    explanation = models.ForeignKey(
        Explanation, models.DO_NOTHING, related_name="texts", db_index=False, db_constraint=False
    )
    dataset_file = models.ForeignKey(DatasetFile, models.DO_NOTHING, related_name="+", db_constraint=False)
    position = models.PositiveSmallIntegerField()
    heading = models.CharField(max_length=300, blank=True)
    text = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["explanation", "position"], name="inference_one_text_a_position")
        ]

    def __str__(self) -> str:
        return f"{self.explanation_id}/{self.position}"
