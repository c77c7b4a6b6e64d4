"""Storing an upload: its bytes in storage, and the rows of the file and of the dataset it goes into.

The functions are synchronous and run in threads. Bytes are stored before the row of the file, so that every row has
its bytes. Until then, and after the row is deleted, an ``OrphanedBlob`` names them, so that cleanup finds them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from files import storage
from files.ingestion.reprocess import reprocess
from files.ingestion.wakeup import wake
from files.models import Dataset, DatasetFile, File, OrphanedBlob, UploadKey
from files.uploads.access import WRITE_SCOPE, check_not_expired, dataset_not_found, lock_for_adding
from files.uploads.deletion import delete_blobs
from files.uploads.quotas import Quotas, lock_tenant
from gtapi.errors import AuthenticationFailed, Conflict
from gtapi.json_types import JSON
from tenants.models import InferenceKey
from tenants.permissions import missing_scope
from tenants.scopes import expand

State = DatasetFile.State
#: How long an ``Idempotency-Key`` is valid.
IDEMPOTENCY_PERIOD = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A received file on disk. The file at ``path`` is moved into storage."""

    path: Path
    filename: str
    content_type: str
    size: int


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """The result of an upload; ``created`` is false if the dataset already had the same content."""

    file: File
    dataset_file: DatasetFile | None
    created: bool


@dataclass(frozen=True, slots=True)
class FileUpload:
    """A received file and where it is to be stored; ``key_id`` is None for an operator's upload."""

    tenant_id: int
    key_id: int | None
    origin: File.Origin
    incoming: IncomingFile
    purpose: str = "assistants"
    dataset: Dataset | None = None
    attributes: JSON = field(default_factory=dict)
    chunking: JSON | None = None
    idempotency_key: str = ""
    expires_after: timedelta | None = None
    #: Scopes that the key must still have once the body has arrived.
    scopes: Sequence[str] = (WRITE_SCOPE,)

    @property
    def filename(self) -> str:
        return storage.clean_filename(self.incoming.filename)

    def fingerprint(self, digest: str) -> str:
        """Return a hash that two uploads share if they are the same request."""
        parts: list[Any] = [
            self.origin, self.dataset.pk if self.dataset else None, self.purpose, self.filename,
            self.attributes, self.chunking, digest,
        ]  # fmt: skip
        if self.expires_after is not None:
            parts.append(self.expires_after.total_seconds())
        return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def store_upload(upload: FileUpload) -> StoredUpload:
    """Store an upload, add it to its dataset if it has one, and queue it for processing there.

    If the dataset already has a file of the same content, that file is returned. An ``idempotency_key`` that was
    used for the same upload within a day returns that upload's result.

    Raises:
        RequestTooLarge: the file exceeds the tenant's size limit.
        PermissionDenied: a quota of the tenant is reached, or the key has lost a scope that it needs.
        Conflict: the ``idempotency_key`` was used for another upload.
        AuthenticationFailed: the key has been revoked, or its tenant disabled.
        NotFound: the dataset has been deleted, or is no longer granted to the key.
        BadRequest: the dataset has expired.
    """
    digest, name = storage.digest(upload.incoming.path), storage.new_name()
    stored = begin_upload(upload, digest, name)
    if stored is None:
        storage.put(upload.incoming.path, name)
        stored = finish_upload(upload, digest, name)
    return stored


@transaction.atomic
def begin_upload(upload: FileUpload, digest: str, name: str) -> StoredUpload | None:
    """Return the result of an upload that is already stored, or None if its bytes are to be stored under ``name``.

    Raises as ``store_upload``.
    """
    existing = _existing(upload, digest)
    if existing is None:
        OrphanedBlob.objects.create(path=name)
    return existing


def finish_upload(upload: FileUpload, digest: str, name: str) -> StoredUpload:
    """Create the rows of an upload whose bytes are stored under ``name``; delete the bytes if that fails.

    Raises as ``store_upload``.
    """
    stored = None
    try:
        with transaction.atomic():
            stored = _existing(upload, digest) or _create(upload, digest, name)
            if stored.created:
                OrphanedBlob.objects.filter(path=name).delete()
    finally:
        if stored is None or not stored.created:
            delete_blobs([name])
    return stored


def _existing(upload: FileUpload, digest: str) -> StoredUpload | None:
    """Return the result of an upload that is already stored; if there is none, check the tenant's quotas.

    Uploads of a tenant are serialised from here on, so that quotas hold and nothing is stored twice.
    """
    lock_tenant(upload.tenant_id)
    _check_still_allowed(upload)
    existing = _by_idempotency_key(upload, digest)
    if existing is not None:
        return existing
    existing = _by_content(upload, digest)
    if existing is not None:
        _save_idempotency_key(upload, digest, existing.file)
        return existing
    quotas = Quotas.of(upload.tenant_id)
    quotas.check_size(upload.incoming.size)
    quotas.check_storage(upload.tenant_id, upload.incoming.size)
    return None


def _check_still_allowed(upload: FileUpload) -> None:
    """Refuse an upload whose key, scope or grant was withdrawn while its body arrived, which may take hours."""
    if upload.key_id is None:
        return
    keys = InferenceKey.objects.live().filter(pk=upload.key_id, tenant=upload.tenant_id, tenant__active=True)
    scopes = keys.values_list("scopes", flat=True).first()
    if scopes is None:
        raise AuthenticationFailed
    granted_scopes = expand(scopes)
    for scope in upload.scopes:
        if scope not in granted_scopes:
            raise missing_scope(scope)
    if upload.dataset is None or upload.dataset.hidden:
        return
    dataset = Dataset.objects.granted_to(upload.key_id).filter(pk=upload.dataset.pk).first()
    if dataset is None:
        raise dataset_not_found(upload.dataset.pk)
    check_not_expired(dataset)


def _save_idempotency_key(upload: FileUpload, digest: str, file: File) -> None:
    if upload.idempotency_key and upload.key_id is not None:
        UploadKey.objects.create(
            key_id=upload.key_id,
            idempotency_key=upload.idempotency_key,
            fingerprint=upload.fingerprint(digest),
            file=file,
        )


def _by_idempotency_key(upload: FileUpload, digest: str) -> StoredUpload | None:
    """Return the result of the upload that used the same ``Idempotency-Key``, if there is one."""
    if not upload.idempotency_key or upload.key_id is None:
        return None
    rows = UploadKey.objects.filter(key=upload.key_id, idempotency_key=upload.idempotency_key)
    now = timezone.now()
    rows.filter(Q(created_at__lt=now - IDEMPOTENCY_PERIOD) | Q(file__expires_at__lte=now)).delete()
    row = rows.select_related("file").first()
    if row is None:
        return None
    if row.fingerprint != upload.fingerprint(digest):
        raise Conflict(
            "This 'Idempotency-Key' was used for another upload. Use a new key for each upload.",
            code="idempotency_conflict",
            headers={"x-should-retry": "false"},
        )
    if upload.dataset is None:
        return StoredUpload(row.file, None, created=False)
    dataset_file = row.file.dataset_files.select_related("dataset").filter(dataset=upload.dataset).first()
    if dataset_file is None:
        # The file was removed from this dataset, and still exists because it is in another one.
        row.delete()
        return None
    return StoredUpload(row.file, dataset_file, created=False)


def _by_content(upload: FileUpload, digest: str) -> StoredUpload | None:
    """Return the file in the upload's dataset that has the same content, if there is one."""
    if upload.dataset is None:
        return None
    dataset_files = upload.dataset.dataset_files.live().select_related("file")
    # An attached file has no digest here, since several attached files may share one content: take the oldest.
    # Reuse an attachment only if it is ready, never expires and belongs to this key: clients poll for `ready`,
    # which the route of an attached file never reports, and another key could delete it.
    attached = dataset_files.filter(
        digest="",
        file__sha256=digest,
        file__key=upload.key_id,
        file__expires_at=None,
        state=State.READY,
    )
    candidate = dataset_files.filter(digest=digest).first() or attached.order_by("pk").first()
    if candidate is None:
        return None
    # Deleting, detaching and chunking a file again lock it first, so its state is certain only under the lock.
    File.objects.select_for_update(no_key=True).filter(pk=candidate.file_id).first()
    dataset_file = (dataset_files if candidate.digest else attached).filter(pk=candidate.pk).first()
    if dataset_file is None:
        return None
    _retry_failed(dataset_file, upload.key_id)
    return StoredUpload(dataset_file.file, dataset_file, created=False)


def _retry_failed(dataset_file: DatasetFile, key_id: int | None) -> None:
    """Process a failed or cancelled file again, on behalf of a key or an operator."""
    failed = dataset_file.state in (State.FAILED, State.CANCELLED)
    if failed and reprocess(DatasetFile.objects.filter(pk=dataset_file.pk), key_id):
        dataset_file.refresh_from_db()


def _create(upload: FileUpload, digest: str, name: str) -> StoredUpload:
    now = timezone.now()
    file = File.objects.create(
        tenant_id=upload.tenant_id,
        key_id=upload.key_id,
        origin=upload.origin,
        purpose=upload.purpose,
        filename=upload.filename,
        content_type=storage.media_type(upload.incoming.content_type, upload.filename),
        bytes=upload.incoming.size,
        sha256=digest,
        path=name,
        created_at=now,
        expires_at=None if upload.expires_after is None else now + upload.expires_after,
    )
    _save_idempotency_key(upload, digest, file)
    if upload.dataset is None:
        return StoredUpload(file, None, created=True)
    lock_for_adding(upload.dataset)
    dataset_file = DatasetFile.objects.create(
        tenant_id=upload.tenant_id,
        dataset=upload.dataset,
        file=file,
        requested_by_id=upload.key_id,
        digest=digest,
        attributes=upload.attributes,
        chunking=upload.chunking,
    )
    wake()
    return StoredUpload(file, dataset_file, created=True)
