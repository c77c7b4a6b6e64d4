"""Models of tenants, their API keys, key usage and policy changes."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from gtapi.model_settings import Setting
from tenants import keys, scopes
from tenants.usage.record import UsageEvent, model_fields

#: The section of a tenant's form about its files and answers.
FILES = "Files and answers"
HOST = RegexValidator(
    r"\A(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\Z",
    "Enter a host name in lower case, without scheme or port.",
)


def normalise_host(host: str) -> str:
    """Return a host in lower case, without port and trailing dot, as hosts are compared."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    name, _, port = host.partition(":")
    return (name if not port or port.isdecimal() else host).rstrip(".")


class Tenant(models.Model):
    """An isolated customer of the gateway, which owns keys, providers, models, agents and datasets."""

    slug = models.SlugField(unique=True, max_length=63)
    name = models.CharField(max_length=200)
    hosts = ArrayField(
        models.CharField(max_length=253, validators=[HOST]),
        default=list,
        blank=True,
        help_text="Hosts on which this tenant's keys are accepted, separated by commas. Empty: any host.",
    )
    active = models.BooleanField(
        default=True, help_text="While off, requests with the tenant's keys are refused."
    )
    embedding = models.CharField(
        max_length=200,
        blank=True,
        help_text="Catalog entry that embeds the files of conversations, and of datasets that clients create "
        "without naming one. Empty: full-text search only.",
    )
    transcription = models.CharField(
        max_length=200,
        blank=True,
        help_text="Catalog entry that transcribes uploaded recordings. Empty: the tenant's only entry with that "
        "capability, if there is exactly one.",
    )
    max_file_bytes = models.PositiveBigIntegerField(
        "maximum file size", null=True, blank=True, help_text="In bytes. Empty: the installation's limit."
    )
    max_files = models.PositiveBigIntegerField(
        "maximum files", null=True, blank=True, help_text="Empty: the installation's limit."
    )
    max_stored_bytes = models.PositiveBigIntegerField(
        "maximum storage", null=True, blank=True, help_text="In bytes. Empty: the installation's limit."
    )
    max_dataset_files = models.PositiveBigIntegerField(
        "maximum dataset files",
        null=True,
        blank=True,
        help_text="A file in several datasets counts once for each. Empty: the installation's limit.",
    )
    max_datasets = models.PositiveBigIntegerField(
        "maximum datasets", null=True, blank=True, help_text="Empty: the installation's limit."
    )
    record_answers = models.BooleanField(
        "record explanations",
        default=False,
        help_text="Store the chunks that each answer was based on, so that operators can see why it says what it "
        "says.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    #: What apply, export and the admin form know of a tenant.
    SETTINGS: ClassVar = (
        Setting("name"),
        Setting("hosts"),
        Setting("active"),
        Setting("embedding", "files.embedding", FILES),
        Setting("transcription", "files.transcription", FILES),
        Setting("max_file_bytes", "files.max_file_bytes", FILES),
        Setting("max_files", "files.max_files", FILES),
        Setting("max_stored_bytes", "files.max_stored_bytes", FILES),
        Setting("max_dataset_files", "files.max_dataset_files", FILES),
        Setting("max_datasets", "files.max_datasets", FILES),
        Setting("record_answers", section=FILES),
    )

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
        """Revoke the keys for good and return how many were not revoked before."""
        return self.filter(revoked_at=None).update(revoked_at=timezone.now())

    def issue(
        self,
        tenant: Tenant,
        name: str,
        key_scopes: Iterable[str],
        *,
        expires_at: datetime | None = None,
    ) -> tuple["InferenceKey", str]:
        """Create a key and return it with its plain text, which is not stored."""
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
    """A client's API key. Its scopes and grants are all that it may do."""

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="keys")
    name = models.CharField(max_length=100)
    public_id = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.BinaryField(max_length=32, editable=False)
    scopes = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = InferenceKeyQuerySet.as_manager()

    #: What apply and export know of a key in addition to scopes and grants.
    SETTINGS: ClassVar = (Setting("expires_at"),)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                condition=Q(revoked_at=None),
                name="tenants_unique_unrevoked_key_name",
                violation_error_message="This tenant already has an active key with this name.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} (gtak_{self.public_id}…)"

    def clean(self) -> None:
        super().clean()
        if unknown := scopes.unknown_scopes(self.scopes):
            raise ValidationError({"scopes": f"Unknown scopes: {', '.join(unknown)}."})

    def revoke(self) -> bool:
        """Revoke the key for good and return whether it was not revoked before."""
        revoked = bool(InferenceKey.objects.filter(pk=self.pk).revoke())
        self.refresh_from_db(fields=["revoked_at"])
        return revoked

    def rotate(self) -> str:
        """Replace the key's secret and return the new plain text; id, scopes, grants and history stay.

        Raises:
            ValidationError: the key is revoked.
        """
        new = keys.generate()
        changed = InferenceKey.objects.filter(pk=self.pk, revoked_at=None).update(
            public_id=new.public_id, digest=new.digest
        )
        if not changed:
            raise ValidationError("A revoked key cannot be rotated.")
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
    """When a key was last used; a separate table, so that using a key is not a policy change."""

    key = models.OneToOneField(InferenceKey, models.CASCADE, primary_key=True, related_name="activity")
    last_used_at = models.DateTimeField()


class PolicyChange(models.Model):
    """A logged change to a table that policy decisions depend on, written by triggers and read by every process.

    ``xid`` is the transaction that wrote the row. A reader resumes at the oldest transaction that was open during
    its last read, so it misses nothing, whatever the order of commits.
    """

    tenant_id = models.BigIntegerField()
    xid = models.BigIntegerField(db_index=True)
    created_at = models.DateTimeField(db_index=True)


#: The ``key_id`` of usage that no key caused: an operator's actions and background work for them.
NO_KEY = 0


if TYPE_CHECKING:
    # The type checker reads the columns' types from the dataclass.
    class _UsageColumns(UsageEvent, models.Model):
        created_at: datetime  # type: ignore[assignment]

        class Meta:
            abstract = True

else:
    _UsageColumns = models.Model


class UsageRecord(_UsageColumns):
    """A row of the usage table: one authenticated request, or a call to a model during background work.

    The columns are declared in ``UsageEvent``. The table is partitioned by month on the id, a UUIDv7. It has no
    foreign keys, since records outlive the tenants and keys they name. ``key_id`` is ``NO_KEY`` for work that an
    operator started. While a file is processed, ``request_id`` is the file's id; while a dataset is indexed, it is
    the dataset's. Clients never see ``provider``, ``raw_model`` and ``error_detail``.
    """

    # In a class body this is the namespace that the class is made from (PEP 667).
    locals().update(model_fields())

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
        """Refuse: only the ledger writes usage records."""
        raise ValidationError("Usage records cannot be changed.")
