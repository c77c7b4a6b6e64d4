"""Why an answer says what it says: the passages that a request was given, kept where the tenant wants that."""

from django.db import models
from django.utils import timezone

from tenants.models import Tenant


class Explanation(models.Model):
    """What one request was given to answer from.

    ``passages`` are objects with ``file_id``, ``filename``, ``page``, ``heading``, ``text``, ``relevance``,
    ``score`` and ``given`` (whether it went into the prompt), best first.
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
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["tenant", "-created_at"], name="inference_explanation_tenant")]

    def __str__(self) -> str:
        return self.request_id
