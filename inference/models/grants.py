"""Grants: which agents and catalog entries a key may call."""

from django.db import models

from inference.models.targets import InferenceTarget
from tenants.models import InferenceKey


class Grant(models.Model):
    """A key's permission to call an agent or a catalog entry. No grant, no access."""

    key = models.ForeignKey(InferenceKey, models.CASCADE, related_name="grants")
    target = models.ForeignKey(InferenceTarget, models.CASCADE, related_name="grants")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "target"], name="inference_one_grant_a_target")]

    def __str__(self) -> str:
        return f"{self.key} → {self.target}"
