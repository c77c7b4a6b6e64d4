"""Names that clients can send as `model`: the table that agents and catalog entries share."""

from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from tenants.models import Tenant

NAME = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9._:/@+-]*\Z",
    "Start with a letter or digit; letters, digits and . _ : / @ + - may follow.",
)


class InferenceTarget(models.Model):
    """A name that clients can send as ``model``: an agent's alias or a catalog entry's public name.

    Both kinds are rows of this table, so that the database itself keeps a tenant's names apart.
    """

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="targets")
    name = models.CharField(max_length=200, validators=[NAME])
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="inference_one_target_a_name",
                violation_error_message="This tenant has an agent or a catalog entry of that name.",
            )
        ]

    def __str__(self) -> str:
        return self.name
