"""Datasets: named collections of a tenant's documents, and who may use them."""

from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from gtapi.ids import object_id
from tenants.models import InferenceKey, Tenant

NAME = RegexValidator(r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z", "Use letters, digits, dots, dashes and underscores.")
#: How the names of conversations' hidden datasets begin: a name that somebody else took would be missing there.
RESERVED = "conv_"
#: How exactly it is noted when a dataset was last active: most searches then write nothing.
NOTED = timedelta(minutes=10)


def dataset_id() -> str:
    return object_id("ds_")


_ENDS = F("last_active_at") + F("expires_after")


class DatasetQuerySet(models.QuerySet["Dataset"]):
    def visible(self) -> "DatasetQuerySet":
        """Datasets that people made; those of conversations are hidden."""
        return self.filter(hidden=False)

    def operators(self) -> "DatasetQuerySet":
        """Datasets that operators made or took over: those that a configuration may speak of."""
        return self.visible().filter(by_client=False)

    def granted_to(self, key_id: int) -> "DatasetQuerySet":
        """The datasets that a key may use by itself: the one door for requests with a key."""
        return self.visible().filter(grants__key=key_id)

    def live(self) -> "DatasetQuerySet":
        """Datasets that have not expired."""
        return self.alias(ends=_ENDS).filter(Q(ends=None) | Q(ends__gt=timezone.now()))

    def expired(self) -> "DatasetQuerySet":
        return self.alias(ends=_ENDS).filter(expires_after__isnull=False, ends__lte=timezone.now())

    @transaction.atomic
    def note_activity(self) -> None:
        """Note that datasets are active now; not for those of which it was noted just before, or that have expired.

        Who holds one of them at the moment is not waited for: a search would be.
        """
        now = timezone.now()
        due = self.live().filter(Q(last_active_at=None) | Q(last_active_at__lt=now - NOTED), hidden=False)
        held = due.select_for_update(no_key=True, skip_locked=True).values("pk")
        Dataset.objects.filter(pk__in=held).update(last_active_at=now)


class Dataset(models.Model):
    """A named collection of documents.

    ``title`` is a name of the client's own, in any words; ``name`` is what agents and grants call it.

    ``embedding`` is the name of a catalog entry of the tenant that can embed; empty means text search alone. It
    is a name and no key, since the catalog lives in an app above this one. A hidden dataset has its tenant's, which
    a trigger sees to. The vectors that a search uses are those of ``generation``, made by ``indexed_embedding``;
    while the two names differ a next generation is made, and takes the place of this one when it is whole. It is
    ``next_generation``, made by ``next_embedding``; with an empty name that is only the highest number of a
    generation that there was. ``stale_vectors`` says that there may be vectors of no use any more.
    ``embedding_requested_by`` is the key that last chose ``embedding``: making a next generation is booked to it.

    ``last_active_at`` is when it was last made, changed, put into or searched, to ten minutes; None is from before
    that was noted. ``expires_after`` it the dataset expires: it is kept without its contents, and of no use until a
    client has it expire later or not at all.
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
        """Store it; a new dataset has nothing to index, so its first vectors are of the wanted embedding."""
        if self._state.adding:
            self.indexed_embedding = self.embedding
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def clean(self) -> None:
        """Leave conversations the names of their own."""
        if not self.hidden and self.name.startswith(RESERVED):
            raise ValidationError({"name": f"Names that begin with {RESERVED} are kept for conversations."})

    @property
    def expires_at(self) -> datetime | None:
        """When it expires, if it is left alone until then; None: never."""
        if self.last_active_at is None or self.expires_after is None:
            return None
        return self.last_active_at + self.expires_after

    @property
    def expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def activity_is_due(self) -> bool:
        """Whether it is long enough ago that its activity was noted."""
        return self.last_active_at is None or self.last_active_at < timezone.now() - NOTED


class DatasetGrant(models.Model):
    """A key's permission to use a dataset by itself."""

    key = models.ForeignKey(InferenceKey, models.CASCADE, related_name="dataset_grants")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="grants")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "dataset"], name="files_one_grant_a_dataset")]

    def __str__(self) -> str:
        return f"{self.key} → {self.dataset}"
