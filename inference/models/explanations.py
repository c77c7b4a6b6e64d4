"""Why an answer says what it says: the passages that a request was given, kept where the tenant wants that."""

from django.db import connection, models, transaction
from django.utils import timezone

from files.models import DatasetFile
from tenants.models import Tenant

#: Of a passage: the place in which it was found, and what it says.
PLACE = ("dataset_id", "file_id")
SAID = ("heading", "text")
# Who deletes a place waits for this transaction, or has it locked: it is not waited for, an answer would be.
KEEP_TEXTS = """
    WITH living AS (
        SELECT id, dataset_id, file_id FROM files_datasetfile
        WHERE tenant_id = %s AND (dataset_id, file_id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
        FOR KEY SHARE SKIP LOCKED
    )
    INSERT INTO inference_explainedtext (explanation_id, dataset_file_id, position, heading, text)
    SELECT %s, living.id, said.position - 1, said.heading, said.text
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])
        WITH ORDINALITY said (dataset_id, file_id, heading, text, position)
    JOIN living ON living.dataset_id = said.dataset_id AND living.file_id = said.file_id
"""


class Explanation(models.Model):
    """What one request was given to answer from.

    ``passages`` are objects with ``file_id``, ``dataset_id``, ``filename``, ``page``, ``relevance``, ``similarity``
    (null where it was found by words alone), ``score`` and ``given`` (whether it went into the prompt), best first.
    What each of them says is an ``ExplainedText``.
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
        """Store it, new, and apart from it the ``heading`` and ``text`` that its passages have until then.

        Those of a file that is gone by now are not kept.
        """
        found = self.passages
        self.passages = [{name: one[name] for name in one if name not in SAID} for one in found]
        self.save(force_insert=True)
        dataset_ids, file_ids, *said = ([one[name] for one in found] for name in (*PLACE, *SAID))
        with connection.cursor() as cursor:
            cursor.execute(
                KEEP_TEXTS, [self.tenant_id, dataset_ids, file_ids, self.pk, dataset_ids, file_ids, *said]
            )


class ExplainedText(models.Model):
    """What a passage says, by its position among an explanation's passages.

    It goes with the file's place in the dataset that it was found in. Foreign keys of the database's own, made in a
    migration, see to that, whatever deletes the place; Django is told to leave it to them.
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
