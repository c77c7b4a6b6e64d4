"""Tenants, their keys, and the ledger of what the keys did."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from gtapi.ids import uuid7
from tenants import keys, scopes

HOST = RegexValidator(
    r"\A(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\Z",
    "Enter a host name in lower case, without scheme or port.",
)


def normalise_host(host: str) -> str:
    """Return a host as it is compared: lower case, without port and without the root's dot."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    name, _, port = host.partition(":")
    return (name if not port or port.isdecimal() else host).rstrip(".")


class Tenant(models.Model):
    """An organisation with agents, models and keys of its own."""

    slug = models.SlugField(unique=True, max_length=63)
    name = models.CharField(max_length=200)
    hosts = ArrayField(
        models.CharField(max_length=253, validators=[HOST]),
        default=list,
        blank=True,
        help_text="Hosts on which this tenant's keys are accepted, separated by commas. Empty: any host.",
    )
    active = models.BooleanField(
        default=True, help_text="While this is off, every key of the tenant is refused."
    )
    embedding = models.CharField(
        max_length=200,
        blank=True,
        help_text="Name of the catalog entry that embeds the files of conversations, and of datasets that clients "
        "make without naming one. Empty: those are searched by words alone.",
    )
    transcription = models.CharField(
        max_length=200,
        blank=True,
        help_text="Name of the catalog entry that turns uploaded recordings into text. Empty: the only one that "
        "can, if there is one.",
    )
    max_file_bytes = models.PositiveBigIntegerField(
        "largest file", null=True, blank=True, help_text="In bytes; empty: the installation's limit."
    )
    max_files = models.PositiveBigIntegerField(
        "most files", null=True, blank=True, help_text="Empty: the installation's limit."
    )
    max_stored_bytes = models.PositiveBigIntegerField(
        "most bytes of all files", null=True, blank=True, help_text="Empty: the installation's limit."
    )
    max_dataset_files = models.PositiveBigIntegerField(
        "most files in datasets",
        null=True,
        blank=True,
        help_text="One that is in several is counted in each. Empty: the installation's limit.",
    )
    max_datasets = models.PositiveBigIntegerField(
        "most datasets", null=True, blank=True, help_text="Empty: the installation's limit."
    )
    record_answers = models.BooleanField(
        "record why",
        default=False,
        help_text="Keep the passages that each answer was given, so that an operator can ask why it says what "
        "it says.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        self.hosts = list(dict.fromkeys(normalise_host(host) for host in self.hosts))


class InferenceKeyQuerySet(models.QuerySet["InferenceKey"]):
    def live(self) -> "InferenceKeyQuerySet":
        """Keys that are neither revoked nor expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None)

    def revoke(self) -> int:
        """Revoke every key of the set for good; returns how many were live until now."""
        return self.filter(revoked_at=None).update(revoked_at=timezone.now())

    def issue(
        self,
        tenant: Tenant,
        name: str,
        key_scopes: Iterable[str],
        *,
        expires_at: datetime | None = None,
    ) -> tuple["InferenceKey", str]:
        """Make a key and return it with its plain text, which cannot be had again."""
        new = keys.generate()
        key = InferenceKey(
            tenant=tenant,
            name=name,
            public_id=new.public_id,
            digest=new.digest,
            scopes=list(key_scopes),
            expires_at=expires_at,
        )
        key.full_clean()
        key.save(force_insert=True)
        return key, new.plain


class InferenceKey(models.Model):
    """A client's credential. What it may do is its scopes and grants, and nothing else."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="keys")
    name = models.CharField(max_length=100)
    public_id = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.BinaryField(max_length=32, editable=False)
    scopes = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it does not expire.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = InferenceKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                condition=Q(revoked_at=None),
                name="tenants_one_live_key_a_name",
                violation_error_message="This tenant has a key of that name that is not revoked.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} (gtak_{self.public_id}…)"

    def clean(self) -> None:
        super().clean()
        if unknown := scopes.unknown_scopes(self.scopes):
            raise ValidationError({"scopes": f"There is no scope {', '.join(unknown)}."})

    def revoke(self) -> bool:
        """Revoke the key for good; tells whether it was live until now."""
        revoked = bool(InferenceKey.objects.filter(pk=self.pk).revoke())
        self.refresh_from_db(fields=["revoked_at"])
        return revoked

    def rotate(self) -> str:
        """Give the key a new secret and return its plain text; id, scopes, grants and history stay.

        Raises:
            ValidationError: the key is revoked.
        """
        new = keys.generate()
        changed = InferenceKey.objects.filter(pk=self.pk, revoked_at=None).update(
            public_id=new.public_id, digest=new.digest
        )
        if not changed:
            raise ValidationError("A revoked key cannot be given a new secret.")
        self.refresh_from_db(fields=["public_id", "digest"])
        return new.plain

    @property
    def state(self) -> str:
        """``active``, ``expired`` or ``revoked``."""
        if self.revoked_at:
            return "revoked"
        if self.expires_at and self.expires_at <= timezone.now():
            return "expired"
        return "active"


class KeyActivity(models.Model):
    """When a key was last used. Apart from the key, so that use does not count as a change of the policy."""

    key = models.OneToOneField(InferenceKey, models.CASCADE, primary_key=True, related_name="activity")
    last_used_at = models.DateTimeField()


class PolicyChange(models.Model):
    """A line in the log of changes that matter to the policy, written by triggers and read by every process.

    ``xid`` is the transaction that wrote it: a reader that starts at the oldest transaction still open at its
    last look misses nothing, whatever order the commits come in.
    """

    tenant_id = models.BigIntegerField()
    xid = models.BigIntegerField(db_index=True)
    created_at = models.DateTimeField(db_index=True)


#: In the place of a key in what is booked: what an operator did, or an unattended worker for one.
NO_KEY = 0


class UsageRecord(models.Model):
    """One authenticated request, or a call of a model in the course of other work.

    The table is partitioned by month on the id, a UUID of version 7. There are no foreign keys: the record outlives
    what it names. Its key is ``NO_KEY`` where an operator had the work done. In the processing of a file the id of
    the request is the file's, in that of a dataset's index the dataset's. ``provider``, ``raw_model`` and
    ``error_detail`` are for operators' eyes.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField()
    tenant_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    request_id = models.CharField(max_length=40)
    route = models.CharField(max_length=60)
    model = models.CharField(max_length=200, blank=True, help_text="The name that the client asked for")
    agent_version = models.IntegerField(null=True)
    provider = models.CharField(max_length=100, blank=True)
    raw_model = models.CharField(max_length=200, blank=True)
    streamed = models.BooleanField(default=False)
    status = models.SmallIntegerField(help_text="HTTP status; 499 where the client left")
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.TextField(blank=True)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    characters = models.BigIntegerField(default=0, db_default=0, help_text="Of text that was spoken")
    audio_ms = models.BigIntegerField(default=0, db_default=0, help_text="Of sound that was heard")
    images = models.IntegerField(default=0, db_default=0, help_text="Images that were made")
    estimated = models.BooleanField(default=False, help_text="The provider did not report the tokens")
    latency_ms = models.IntegerField(default=0)
    first_token_ms = models.IntegerField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["tenant_id", "-id"], name="tenants_usage_tenant"),
            models.Index(fields=["key_id", "-id"], name="tenants_usage_key"),
            models.Index(fields=["request_id"], name="tenants_usage_request"),
        ]

    def __str__(self) -> str:
        return self.request_id

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: records are written by the ledger alone."""
        raise ValidationError("A usage record cannot be changed.")
