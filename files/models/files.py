"""Models of stored files, files in datasets with the state of their processing, batches and uploads."""

from datetime import timedelta

from django.db import models
from django.db.models import Exists, F, Q
from django.db.models.functions import Coalesce, Greatest, Now
from django.utils import timezone

from files.models.datasets import Dataset
from gtapi.ids import object_id
from tenants.models import InferenceKey, Tenant

#: How long a file may wait for OCR before a missing worker is suspected.
OCR_WAIT = timedelta(minutes=10)


def file_id() -> str:
    return object_id("file-")


def batch_id() -> str:
    return object_id("vsfb_")


class FileQuerySet(models.QuerySet["File"]):
    def live(self) -> "FileQuerySet":
        """Files that have not expired, which are the only ones clients can see."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))

    def expired(self) -> "FileQuerySet":
        return self.filter(expires_at__lte=timezone.now())


class File(models.Model):
    """A stored file. ``filename`` is the client's, and never part of a path.

    ``origin`` is the route of its upload, which determines the statuses that clients see. From ``expires_at`` on,
    clients do not see the file any more, and the cleanup task deletes it.
    """

    class Origin(models.TextChoices):
        FILES = "files", "/files"
        DATASET = "dataset", "/datasets/{id}/files"
        CONVERSATION = "conversation", "/conversations/files"

    id = models.CharField(primary_key=True, max_length=40, default=file_id, editable=False)
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="files")
    key = models.ForeignKey(
        InferenceKey, models.SET_NULL, null=True, related_name="files", help_text="Empty: an operator's."
    )
    origin = models.CharField(max_length=20, choices=Origin.choices)
    purpose = models.CharField(max_length=20)
    filename = models.CharField(max_length=255)
    content_type = models.CharField(max_length=130, blank=True)
    bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    path = models.CharField(max_length=200, unique=True, help_text="Its name in storage")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, editable=False, help_text="Empty: never.")

    objects = FileQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = "stored file"
        constraints = [models.UniqueConstraint(fields=["id", "tenant"], name="files_file_and_tenant")]
        indexes = [
            models.Index(fields=["tenant"], include=["bytes"], name="files_file_use"),
            models.Index(fields=["key", "-created_at"], name="files_file_key"),
            models.Index(fields=["-created_at", "-id"], name="files_file_newest"),
            models.Index(
                fields=["expires_at"], condition=Q(expires_at__isnull=False), name="files_file_expires"
            ),
        ]

    def __str__(self) -> str:
        return self.filename


class FileBatch(models.Model):
    """Files that were attached to a dataset by one request."""

    id = models.CharField(primary_key=True, max_length=40, default=batch_id, editable=False)
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="+")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="batches")
    cancelled = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.id


class DatasetFileQuerySet(models.QuerySet["DatasetFile"]):
    def live(self) -> "DatasetFileQuerySet":
        """Dataset files whose file and dataset have not expired, which are the only ones clients can see."""
        now = timezone.now()
        return self.alias(dataset_ends=F("dataset__last_active_at") + F("dataset__expires_after")).filter(
            Q(file__expires_at=None) | Q(file__expires_at__gt=now),
            Q(dataset_ends=None) | Q(dataset_ends__gt=now),
        )

    def stuck_before_ocr(self) -> "DatasetFileQuerySet":
        """Files that have waited for OCR for minutes while no worker did any: probably none serves that queue."""
        unfinished = Q(state__in=[DatasetFile.State.UPLOADED, DatasetFile.State.PROCESSING], needs_ocr=True)
        in_progress = DatasetFile.objects.filter(unfinished, lease_until__gt=Now())
        waiting_since = Coalesce("started_at", "created_at", output_field=models.DateTimeField())
        return self.alias(waiting_since=waiting_since).filter(
            unfinished,
            ~Exists(in_progress),
            Q(retry_at=None) | Q(retry_at__lte=Now()),
            waiting_since__lt=Now() - OCR_WAIT,
            tenant__active=True,
        )


class DatasetFile(models.Model):
    """A file in a dataset, with the state of its processing. A worker that processes it holds its lease.

    ``attempts`` counts extractions that crashed or failed temporarily, ``provider_errors`` temporary failures of a
    model, and ``worker_deaths`` leases that ran out. ``digest`` is the SHA-256 of a file that was uploaded into the
    dataset, where the same content has one row; attached files leave it empty. ``requested_by`` is the key that
    last requested its processing, which counts as that key's usage; another key may have uploaded the file.
    ``warning`` says which part of a ready file could not be read. ``needs_ocr`` is set once a worker has found
    that the file needs OCR.
    """

    class State(models.TextChoices):
        UPLOADED = "uploaded"
        PROCESSING = "processing"
        READY = "ready"
        FAILED = "failed"
        CANCELLED = "cancelled"

    class Stage(models.TextChoices):
        EXTRACTING = "extracting"
        TRANSCRIBING = "transcribing"
        CHUNKING = "chunking"
        EMBEDDING = "embedding"
        STORING = "storing"

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="+")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="dataset_files")
    file = models.ForeignKey(File, models.CASCADE, related_name="dataset_files")
    batch = models.ForeignKey(FileBatch, models.SET_NULL, null=True, related_name="dataset_files")
    requested_by = models.ForeignKey(
        InferenceKey,
        models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,
        help_text="Empty: an operator.",
    )
    digest = models.CharField(max_length=64, blank=True)
    attributes = models.JSONField(default=dict, blank=True)
    chunking = models.JSONField(null=True, blank=True, help_text="As the client asked for it; empty: ours.")

    state = models.CharField(max_length=10, choices=State.choices, default=State.UPLOADED)
    stage = models.CharField(max_length=20, choices=Stage.choices, blank=True)
    progress = models.PositiveSmallIntegerField(default=0, help_text="0 to 100")
    error_code = models.CharField(max_length=60, blank=True)
    error_message = models.TextField(blank=True)
    warning = models.TextField(blank=True, default="", db_default="")
    attempts = models.PositiveSmallIntegerField(default=0)
    worker_deaths = models.PositiveSmallIntegerField(default=0)
    provider_errors = models.PositiveSmallIntegerField(default=0, db_default=0)
    needs_ocr = models.BooleanField(default=False, db_default=False, editable=False)
    lease = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True, help_text="Not to be claimed before")

    characters = models.BigIntegerField(default=0)
    tokens = models.BigIntegerField(default=0)
    chunk_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = DatasetFileQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = "file"
        constraints = [
            models.UniqueConstraint(fields=["dataset", "file"], name="files_datasetfile_file"),
            models.UniqueConstraint(
                fields=["dataset", "digest"], condition=~Q(digest=""), name="files_datasetfile_content"
            ),
            models.UniqueConstraint(fields=["id", "tenant", "dataset"], name="files_datasetfile_and_tenant"),
            models.CheckConstraint(condition=Q(progress__lte=100), name="files_progress_in_percent"),
        ]
        indexes = [
            # Files to process, by queue and tenant, and when they may be claimed.
            models.Index(
                "needs_ocr",
                "tenant",
                Coalesce(Greatest("retry_at", "lease_until"), "created_at"),
                "id",
                condition=Q(state__in=["uploaded", "processing"]),
                name="files_datasetfile_due",
            ),
            # Files that are being processed.
            models.Index(
                fields=["tenant"], condition=Q(lease__isnull=False), name="files_datasetfile_leased"
            ),
            models.Index(fields=["dataset", "-created_at"], name="files_datasetfile_dataset"),
            # The operator's list, and the files that failed lately.
            models.Index(fields=["-created_at", "-id"], name="files_datasetfile_newest"),
            models.Index(
                fields=["ended_at", "tenant"], condition=Q(state="failed"), name="files_datasetfile_failed"
            ),
            models.Index(fields=["requested_by"], name="files_datasetfile_requested_by"),
        ]

    def __str__(self) -> str:
        return f"{self.file} in {self.dataset}"


class IngestTurn(models.Model):
    """When a worker last took a file, and a dataset, of a tenant; the tenant that waited longest is next."""

    tenant = models.OneToOneField(Tenant, models.CASCADE, primary_key=True, related_name="+")
    served_at = models.DateTimeField(null=True)
    indexed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.tenant_id}: {self.served_at}, {self.indexed_at}"


class UploadKey(models.Model):
    """A used ``Idempotency-Key`` of an upload; ``fingerprint`` identifies the request."""

    key = models.ForeignKey(InferenceKey, models.CASCADE, related_name="+")
    idempotency_key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    file = models.ForeignKey(File, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "idempotency_key"], name="files_one_use_a_upload_key")
        ]

    def __str__(self) -> str:
        return self.idempotency_key


class OrphanedBlob(models.Model):
    """Stored bytes without a file: of an upload in progress or interrupted, or of a deleted file.

    An upload inserts its row before its bytes, and deletes it in the transaction that creates the file. A trigger
    inserts a row for every deleted file. So no bytes are lost, and none are deleted that this database does not
    know: storage may be shared.
    """

    path = models.CharField(primary_key=True, max_length=200)
    created_at = models.DateTimeField(default=timezone.now, db_default=Now(), db_index=True)

    def __str__(self) -> str:
        return self.path
