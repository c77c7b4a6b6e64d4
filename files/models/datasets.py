"""Models of datasets, which are named collections of a tenant's files, and of the keys' grants."""

from datetime import datetime, timedelta
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from gtapi.ids import object_id
from gtapi.model_settings import Setting
from tenants.models import InferenceKey, Tenant

NAME = RegexValidator(r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z", "Use letters, digits, dots, dashes and underscores.")
#: Prefix of the names of conversations' hidden datasets, which other datasets may not use.
RESERVED = "conv_"
#: Precision of ``last_active_at``, so that most searches write nothing.
ACTIVITY_PRECISION = timedelta(minutes=10)


def dataset_id() -> str:
    return object_id("ds_")


_ENDS = F("last_active_at") + F("expires_after")


class DatasetQuerySet(models.QuerySet["Dataset"]):
    def visible(self) -> "DatasetQuerySet":
        """Datasets without the hidden ones of conversations."""
        return self.filter(hidden=False)

    def operators(self) -> "DatasetQuerySet":
        """Datasets that operators created or took over, which ``apply`` manages."""
        return self.visible().filter(by_client=False)

    def granted_to(self, key_id: int) -> "DatasetQuerySet":
        """The datasets that a key may use directly. All requests with a key go through here."""
        return self.visible().filter(grants__key=key_id)

    def live(self) -> "DatasetQuerySet":
        """Datasets that have not expired."""
        return self.alias(ends=_ENDS).filter(Q(ends=None) | Q(ends__gt=timezone.now()))

    def expired(self) -> "DatasetQuerySet":
        return self.alias(ends=_ENDS).filter(expires_after__isnull=False, ends__lte=timezone.now())

    @transaction.atomic
    def note_activity(self) -> None:
        """Record datasets as active now, unless that was recorded just before or they have expired.

        Locked rows are skipped, so that a search never waits.
        """
        now = timezone.now()
        due = self.live().filter(
            Q(last_active_at=None) | Q(last_active_at__lt=now - ACTIVITY_PRECISION), hidden=False
        )
        held = due.select_for_update(no_key=True, skip_locked=True).values("pk")
        Dataset.objects.filter(pk__in=held).update(last_active_at=now)


class Dataset(models.Model):
    """A named collection of documents.

    ``title`` is free text; ``name`` is what agents and grants refer to.

    ``embedding`` is the name of a catalog entry of the tenant that can embed; empty means full-text search only.
    It is a name and not a foreign key, since the catalog belongs to an app above this one. A trigger gives hidden
    datasets their tenant's. Searches use the vectors of ``generation``, computed by ``indexed_embedding``.
    While the two names differ, a next generation is built, which replaces the current one when it is complete:
    its number is ``next_generation``, and ``next_embedding`` computes it. If ``next_embedding`` is empty,
    ``next_generation`` is only the highest number used so far. ``stale_vectors`` is set if there may be vectors
    to delete. ``embedding_requested_by`` is the key that last chose ``embedding``; building a generation is its
    usage.

    ``last_active_at`` is when it was last created, changed, filled or searched, to ten minutes; None means
    unknown. ``expires_after`` that the dataset expires: its contents are deleted, and it can only be used again
    once a client changes ``expires_after``.
    """

    id = models.CharField(primary_key=True, max_length=40, default=dataset_id, editable=False)
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=100, validators=[NAME])
    title = models.CharField(max_length=256, blank=True)
    embedding = models.CharField(max_length=200, blank=True)
    embedding_requested_by = models.ForeignKey(
        InferenceKey,
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        help_text="Empty: an operator.",
    )
    indexed_embedding = models.CharField(max_length=200, blank=True, editable=False)
    generation = models.PositiveIntegerField(default=1, editable=False)
    next_embedding = models.CharField(max_length=200, blank=True, default="", db_default="", editable=False)
    next_generation = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    stale_vectors = models.BooleanField(default=False, db_default=False, editable=False)
    index_failures = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    index_retry_at = models.DateTimeField(null=True, editable=False)
    index_error = models.TextField(blank=True, editable=False)
    index_lease = models.UUIDField(null=True, editable=False)
    index_lease_until = models.DateTimeField(null=True, editable=False)
    hidden = models.BooleanField(
        default=False, editable=False, help_text="It holds the files of a conversation."
    )
    by_client = models.BooleanField(
        "made by a client",
        default=False,
        db_default=False,
        help_text="Clear it to take the dataset over: apply may then change it, clients may not rename it, and it"
        " does not expire.",
    )
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_active_at = models.DateTimeField("last used", null=True, default=timezone.now, editable=False)
    expires_after = models.DurationField(null=True, editable=False, help_text="Empty: never.")

    objects = DatasetQuerySet.as_manager()

    #: What apply and export know of a dataset.
    SETTINGS: ClassVar = (Setting("title"), Setting("embedding"), Setting("metadata"))

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="files_one_dataset_a_name",
                violation_error_message="This tenant has a dataset of that name.",
            ),
            # What a composite foreign key refers to.
            models.UniqueConstraint(fields=["id", "tenant"], name="files_dataset_and_tenant"),
        ]
        indexes = [
            # Those whose vectors are not the wanted ones, or not all of use.
            models.Index(
                fields=["id"],
                condition=~Q(embedding=F("indexed_embedding"))
                | ~Q(next_embedding="")
                | Q(stale_vectors=True),
                name="files_dataset_to_index",
            ),
            models.Index(
                fields=["id"], condition=Q(expires_after__isnull=False), name="files_dataset_expiring"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        """Save the dataset. A new one has nothing to index, so ``indexed_embedding`` starts as ``embedding``."""
        if self._state.adding:
            self.indexed_embedding = self.embedding
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def clean(self) -> None:
        """Reserve the names of conversations' datasets."""
        if not self.hidden and self.name.startswith(RESERVED):
            raise ValidationError(
                {"name": f"Names that begin with {RESERVED} are reserved for conversations."}
            )

    @property
    def expires_at(self) -> datetime | None:
        """When it expires unless it is used before; None means never."""
        if self.last_active_at is None or self.expires_after is None:
            return None
        return self.last_active_at + self.expires_after

    @property
    def expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def activity_is_due(self) -> bool:
        """Whether its last recorded activity is older than ``ACTIVITY_PRECISION``."""
        return self.last_active_at is None or self.last_active_at < timezone.now() - ACTIVITY_PRECISION


class DatasetGrant(models.Model):
    """A key's permission to use a dataset directly, rather than through an agent."""

    key = models.ForeignKey(InferenceKey, models.CASCADE, related_name="dataset_grants")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="grants")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "dataset"], name="files_one_grant_a_dataset")]

    def __str__(self) -> str:
        return f"{self.key} → {self.dataset}"
