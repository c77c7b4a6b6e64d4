"""Datasets: named collections of a tenant's documents, and who may use them."""

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from gtapi.ids import object_id
from tenants.models import InferenceKey, Tenant

NAME = RegexValidator(r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z", "Use letters, digits, dots, dashes and underscores.")
#: How the names of conversations' hidden datasets begin: a name that somebody else took would be missing there.
RESERVED = "conv_"


def dataset_id() -> str:
    return object_id("ds_")


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


class Dataset(models.Model):
    """A named collection of documents.

    ``title`` is a name of the client's own, in any words; ``name`` is what agents and grants call it.

    ``embedding`` is the name of a catalog entry of the tenant that can embed; empty means text search alone. It
    is a name and no key, since the catalog lives in an app above this one. A hidden dataset has its tenant's, which
    a trigger sees to. The vectors that a search uses are those of ``generation``, made by ``indexed_embedding``;
    while the two names differ a next generation is made, and takes the place of this one when it is whole. It is
    ``next_generation``, made by ``next_embedding``; with an empty name that is only the highest number of a
    generation that there was. ``stale_vectors`` says that there may be vectors of no use any more.
    ``embedding_ordered_by`` is the key that last chose ``embedding``: making a next generation is booked to it.
    """

    id = models.CharField(primary_key=True, max_length=40, default=dataset_id, editable=False)
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=100, validators=[NAME])
    title = models.CharField(max_length=256, blank=True)
    embedding = models.CharField(max_length=200, blank=True)
    embedding_ordered_by = models.ForeignKey(
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
        help_text="Clear it to take the dataset over: apply may then change it, and clients may not rename it.",
    )
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

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
            )
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


class DatasetGrant(models.Model):
    """A key's permission to use a dataset by itself."""

    key = models.ForeignKey(InferenceKey, models.CASCADE, related_name="dataset_grants")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="grants")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "dataset"], name="files_one_grant_a_dataset")]

    def __str__(self) -> str:
        return f"{self.key} → {self.dataset}"
