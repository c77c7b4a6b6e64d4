"""Datasets: named collections of a tenant's documents, and who may read them."""

from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from gtapi.ids import object_id
from tenants.models import InferenceKey, Tenant

NAME = RegexValidator(r"\A[A-Za-z0-9][A-Za-z0-9._-]*\Z", "Use letters, digits, dots, dashes and underscores.")


def dataset_id() -> str:
    return object_id("ds_")


class Dataset(models.Model):
    """A named collection of documents.

    ``embedding`` is the name of a catalog entry of the tenant that can embed; empty means text search alone. It
    is a name and no key, since the catalog lives in an app above this one.
    """

    id = models.CharField(primary_key=True, max_length=40, default=dataset_id, editable=False)
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=100, validators=[NAME])
    embedding = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="files_one_dataset_a_name",
                violation_error_message="This tenant has a dataset of that name.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class DatasetGrant(models.Model):
    """A key's permission to use a dataset by itself."""

    key = models.ForeignKey(InferenceKey, models.CASCADE, related_name="dataset_grants")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="grants")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "dataset"], name="files_one_grant_a_dataset")]

    def __str__(self) -> str:
        return f"{self.key} → {self.dataset}"
