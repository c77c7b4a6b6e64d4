"""What becomes of an upload: bytes in storage, and rows that say whose they are and where they belong.

All of it is synchronous and called in threads. The bytes are stored before the file's row, so that no row is
without them. Until then, and from when the row is deleted, an ``OrphanedBlob`` names them, and a sweep removes
what is left.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from files import storage
from files.ingestion.reprocess import process_again
from files.ingestion.wakeup import wake
from files.models import Chunk, ChunkVector, Dataset, DatasetFile, File, OrphanedBlob, UploadKey
from files.models.datasets import DatasetQuerySet
from files.models.files import DatasetFileQuerySet
from files.uploads import quotas
from files.uploads.quotas import Quotas
from gtapi.errors import AuthenticationFailed, BadRequest, Conflict, NotFound, PermissionDenied
from tenants.models import InferenceKey
from tenants.permissions import lacking
from tenants.scopes import expand

JSON = dict[str, Any]
#: How long an ``Idempotency-Key`` is remembered.
REMEMBERED = timedelta(hours=24)
#: What a key needs that uploads or deletes files, by whatever route.
SCOPE = "files:write"


@dataclass(frozen=True, slots=True)
class Incoming:
    """An upload on the disk. The file at ``path`` is moved away when it is kept."""

    path: Path
    filename: str
    content_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What an upload became; ``created`` is false where the same content was there already."""

    file: File
    dataset_file: DatasetFile | None
    created: bool


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload, and what is to become of it; ``key_id`` is None for an operator's."""

    tenant_id: int
    key_id: int | None
    origin: File.Origin
    incoming: Incoming
    purpose: str = "assistants"
    dataset: Dataset | None = None
    attributes: JSON = field(default_factory=dict)
    chunking: JSON | None = None
    idempotency_key: str = ""
    expires_after: timedelta | None = None
    #: What the key needs by the time it has come.
    scopes: Sequence[str] = (SCOPE,)

    @property
    def filename(self) -> str:
        return storage.clean_filename(self.incoming.filename)

    def fingerprint(self, digest: str) -> str:
        """Return what tells whether two uploads are the same one."""
        said: list[Any] = [
            self.origin, self.dataset.pk if self.dataset else None, self.purpose, self.filename,
            self.attributes, self.chunking, digest,
        ]  # fmt: skip
        if self.expires_after is not None:
            said.append(self.expires_after.total_seconds())
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def no_file(file_id: str) -> NotFound:
    """Return the one answer for a file that does not exist, or is not for this key."""
    return NotFound(f"There is no file '{file_id}'.", code="file_not_found")


def no_dataset(dataset_id: str) -> NotFound:
    """Return the one answer for a dataset that does not exist, or is not for this key."""
    return NotFound(
        f"The dataset '{dataset_id}' does not exist or you do not have access to it.",
        code="dataset_not_found",
    )


def check_live(dataset: Dataset) -> None:
    """Refuse to search a dataset that has expired, or to put something into it.

    Raises:
        BadRequest: it has expired.
    """
    if dataset.expired:
        raise BadRequest(
            f"The dataset '{dataset.pk}' has expired, as its 'expires_after' says. Delete it, or change"
            " 'expires_after' to use it again; what was in it is gone.",
            code="dataset_expired",
        )


def readable(key_id: int, tenant_id: int, user: str = "") -> QuerySet[File]:
    """Return the files that a key may see: the one door to them.

    They are those that it uploaded by itself or into its own conversations, and those of datasets that are
    granted to it, unless they or these have expired. Of a conversation that is an end user's, only the one of that
    user.
    """
    dataset_files = DatasetFile.objects.live().filter(file=OuterRef("pk"))
    granted = dataset_files.filter(dataset__hidden=False, dataset__grants__key=key_id)
    # Conversations are of an app above this one and reached by name.
    spoken = dataset_files.filter(
        dataset__conversation__key=key_id, dataset__conversation__user__in=["", user]
    )
    return File.objects.live().filter(
        Q(origin=File.Origin.FILES, key=key_id)
        | Q(Exists(spoken), origin=File.Origin.CONVERSATION)
        | Q(Exists(granted)),
        tenant=tenant_id,
    )


def visible_dataset_files(key_id: int) -> DatasetFileQuerySet:
    """Return the places of files that a key may know of: in datasets that are granted to it, and in its threads."""
    return DatasetFile.objects.filter(
        Q(dataset__hidden=False, dataset__grants__key=key_id) | Q(dataset__conversation__key=key_id)
    )


def removable(file: File, key_id: int) -> bool:
    """Tell whether a key that can see a file may delete it.

    It is the key's own, or it came with a dataset and is in none that is not granted to the key.
    """
    if file.origin != File.Origin.DATASET:
        return file.key_id == key_id
    return not DatasetFile.objects.filter(file=file).exclude(pk__in=visible_dataset_files(key_id)).exists()


def keep(
    tenant_id: int,
    key_id: int | None,
    origin: File.Origin,
    incoming: Incoming,
    *,
    purpose: str = "assistants",
    dataset: Dataset | None = None,
    attributes: JSON | None = None,
    chunking: JSON | None = None,
    idempotency_key: str = "",
) -> Kept:
    """Keep an upload, in a dataset where one is given, and have it processed there.

    The same content again in the same dataset is the file that is there. An ``idempotency_key`` that was used for
    the same upload within a day gives what that one gave.

    Raises:
        RequestTooLarge: the file is larger than the tenant's files may be.
        PermissionDenied: the tenant has too many files, or they would be too large together, or the key has lost
            a scope that it needs to upload.
        Conflict: the ``idempotency_key`` was used for another upload.
        AuthenticationFailed: the key has been revoked, or its tenant put out of use.
        NotFound: the dataset has been deleted, or is not granted to the key any more.
        BadRequest: the dataset has expired.
    """
    upload = Upload(
        tenant_id, key_id, origin, incoming, purpose, dataset, attributes or {}, chunking, idempotency_key
    )
    digest, name = storage.digest(incoming.path), storage.new_name()
    kept = begin(upload, digest, name)
    if kept is None:
        storage.put(incoming.path, name)
        kept = finish(upload, digest, name)
    return kept


@transaction.atomic
def begin(upload: Upload, digest: str, name: str) -> Kept | None:
    """Return what an upload is already, or None where its bytes have to be stored, under ``name``.

    Raises as ``keep``.
    """
    known = _known(upload, digest)
    if known is None:
        OrphanedBlob.objects.create(path=name)
    return known


def finish(upload: Upload, digest: str, name: str) -> Kept:
    """Write the rows of an upload whose bytes are stored under ``name``; they go again where nothing came of it.

    Raises as ``keep``.
    """
    kept = None
    try:
        with transaction.atomic():
            kept = _known(upload, digest) or _created(upload, digest, name)
            if kept.created:
                OrphanedBlob.objects.filter(path=name).delete()
    finally:
        if kept is None or not kept.created:
            discard([name])
    return kept


def discard(names: Iterable[str]) -> None:
    """Remove bytes that no file has from storage; what cannot be removed now is left to the sweep."""
    gone = storage.discard(names)
    OrphanedBlob.objects.filter(path__in=gone).delete()


def _known(upload: Upload, digest: str) -> Kept | None:
    """Return what an upload is already; where it is nothing yet there is room for it.

    One upload of a tenant at a time gets here, so that limits hold and nothing is kept twice.
    """
    quotas.lock_tenant(upload.tenant_id)
    _check_still_allowed(upload)
    known = _remembered(upload, digest)
    if known is not None:
        return known
    known = _same_content(upload, digest)
    if known is not None:
        _remember(upload, digest, known.file)
        return known
    most = Quotas.of(upload.tenant_id)
    most.check_size(upload.incoming.size)
    most.check_storage(upload.tenant_id, upload.incoming.size)
    return None


def _check_still_allowed(upload: Upload) -> None:
    """Refuse an upload whose key, scope or grant was taken back while it came: a body may take hours to come."""
    if upload.key_id is None:
        return
    live = InferenceKey.objects.live().filter(pk=upload.key_id, tenant=upload.tenant_id, tenant__active=True)
    scopes = live.values_list("scopes", flat=True).first()
    if scopes is None:
        raise AuthenticationFailed
    given = expand(scopes)
    for scope in upload.scopes:
        if scope not in given:
            raise lacking(scope)
    dataset = upload.dataset
    if dataset is None or dataset.hidden:
        return
    granted = Dataset.objects.granted_to(upload.key_id).filter(pk=dataset.pk).first()
    if granted is None:
        raise no_dataset(dataset.pk)
    check_live(granted)


def _remember(upload: Upload, digest: str, file: File) -> None:
    if upload.idempotency_key and upload.key_id is not None:
        UploadKey.objects.create(
            key_id=upload.key_id,
            idempotency_key=upload.idempotency_key,
            fingerprint=upload.fingerprint(digest),
            file=file,
        )


def _remembered(upload: Upload, digest: str) -> Kept | None:
    """Return what the upload's ``Idempotency-Key`` stands for, if it was used before."""
    if not upload.idempotency_key or upload.key_id is None:
        return None
    used = UploadKey.objects.filter(key=upload.key_id, idempotency_key=upload.idempotency_key)
    now = timezone.now()
    used.filter(Q(created_at__lt=now - REMEMBERED) | Q(file__expires_at__lte=now)).delete()
    row = used.select_related("file").first()
    if row is None:
        return None
    if row.fingerprint != upload.fingerprint(digest):
        raise Conflict(
            "This 'Idempotency-Key' was used for another upload. Use a new one for each.",
            code="idempotency_conflict",
            headers={"x-should-retry": "false"},
        )
    if upload.dataset is None:
        return Kept(row.file, None, created=False)
    dataset_file = row.file.dataset_files.select_related("dataset").filter(dataset=upload.dataset).first()
    if dataset_file is None:
        # Taken out of the dataset, and kept for another one that it is in.
        row.delete()
        return None
    return Kept(row.file, dataset_file, created=False)


def _same_content(upload: Upload, digest: str) -> Kept | None:
    if upload.dataset is None:
        return None
    dataset_files = upload.dataset.dataset_files.live().select_related("file")
    # What was attached has no digest here, where two files of one content may be: the oldest place is the answer.
    # Only a ready one, since whoever uploads waits for that word, and an attached file's address never says it; and
    # none that ends by itself, or that another key may delete: what is uploaded here is to stay.
    attached = dataset_files.filter(
        digest="",
        file__sha256=digest,
        file__key=upload.key_id,
        file__expires_at=None,
        state=DatasetFile.State.READY,
    )
    found = dataset_files.filter(digest=digest).first() or attached.order_by("pk").first()
    if found is None:
        return None
    # Who deletes the file, takes it out of the dataset, or has it cut anew locks it first, too: only now it is sure
    # to stay, and to be ready.
    File.objects.select_for_update(no_key=True).filter(pk=found.file_id).first()
    dataset_file = (dataset_files if found.digest else attached).filter(pk=found.pk).first()
    if dataset_file is None:
        return None
    _revive(dataset_file, upload.key_id)
    return Kept(dataset_file.file, dataset_file, created=False)


def _revive(dataset_file: DatasetFile, key_id: int | None) -> None:
    """Have a file that failed processed again, for a key or an operator."""
    failed = dataset_file.state in (DatasetFile.State.FAILED, DatasetFile.State.CANCELLED)
    if failed and process_again(DatasetFile.objects.filter(pk=dataset_file.pk), key_id):
        dataset_file.refresh_from_db()


def _created(upload: Upload, digest: str, name: str) -> Kept:
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
    _remember(upload, digest, file)
    if upload.dataset is None:
        return Kept(file, None, created=True)
    hold_dataset(upload.dataset)
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
    return Kept(file, dataset_file, created=True)


def hold_dataset(dataset: Dataset) -> None:
    """Have whoever deletes a dataset wait for what is put into it by this transaction; it is active by that.

    Raises:
        NotFound: it has been deleted.
        BadRequest: it has expired.
    """
    this = Dataset.objects.filter(pk=dataset.pk)
    held = this.select_for_update(no_key=True).first()
    if held is None:
        raise no_dataset(dataset.pk)
    check_live(held)
    if held.activity_is_due:
        this.note_activity()


@transaction.atomic
def detach(dataset_file: DatasetFile, *, may_remove: bool = True) -> None:
    """Take a file out of a dataset; one that came with it and is nowhere else is removed.

    Raises:
        PermissionDenied: the file would be removed, and is not to be.
    """
    file = File.objects.select_for_update().filter(pk=dataset_file.file_id).first()
    if file is None:
        return
    last = file.origin != File.Origin.FILES and not file.dataset_files.exclude(pk=dataset_file.pk).exists()
    if last and not may_remove:
        raise no_removal(f"The file '{file.pk}' is in no other dataset, so that this deletes it")
    DatasetFile.objects.filter(pk=dataset_file.pk).delete()
    if last:
        remove(file)


def no_removal(why: str) -> PermissionDenied:
    """Return the answer for what would delete files, asked for by a key that may not."""
    return PermissionDenied(f"{why}, and this API key lacks the scope '{SCOPE}', which that needs.")


@transaction.atomic
def remove(file: File) -> None:
    """Delete a file everywhere: its rows now, its bytes after the commit."""
    name = file.path
    # Whoever attaches it, or deletes a dataset that it is in, locks it first, too.
    this = File.objects.filter(pk=file.pk)
    if this.select_for_update().exists():
        this.delete()
        transaction.on_commit(lambda: discard([name]))


@transaction.atomic
def remove_dataset(dataset: Dataset, *, may_remove: bool = True) -> None:
    """Delete a dataset with the files that came with it and are nowhere else.

    Raises:
        PermissionDenied: there are such files, and they are not to be removed.
    """
    if _held_with_files(dataset, Dataset.objects.all()):
        _remove_contents(dataset, may_remove=may_remove)
        Dataset.objects.filter(pk=dataset.pk).delete()


@transaction.atomic
def empty_expired(dataset: Dataset) -> None:
    """Take from a dataset that has expired what goes with one that is deleted, and its places and batches."""
    if _held_with_files(dataset, Dataset.objects.expired()):
        _remove_contents(dataset)
        dataset.dataset_files.all().delete()
        dataset.batches.all().delete()


def _held_with_files(dataset: Dataset, among: DatasetQuerySet) -> bool:
    """Lock a dataset and the files that came with it; tell whether it is among those that are meant."""
    # Files first and in one order, as whoever attaches does; and so that two datasets that go at once do not each
    # leave a file to the other.
    came = File.objects.exclude(origin=File.Origin.FILES).filter(pk__in=dataset.dataset_files.values("file"))
    while True:
        before = transaction.savepoint()
        locked = set(came.order_by("pk").select_for_update().values_list("pk", flat=True))
        if not among.select_for_update().filter(pk=dataset.pk).exists():
            return False
        if locked.issuperset(came.values_list("pk", flat=True)):
            return True
        # One more has come while the dataset was waited for.
        transaction.savepoint_rollback(before)


def _remove_contents(dataset: Dataset, *, may_remove: bool = True) -> None:
    """Delete the files that came with a locked dataset and are nowhere else, and what was made of all its files.

    Raises:
        PermissionDenied: there are such files, and they are not to be removed.
    """
    elsewhere = DatasetFile.objects.filter(file=OuterRef("pk")).exclude(dataset=dataset)
    files = File.objects.exclude(origin=File.Origin.FILES).filter(
        ~Exists(elsewhere), dataset_files__dataset=dataset
    )
    names = dict(files.values_list("pk", "path"))
    if names and not may_remove:
        raise no_removal(f"Files that are in no other dataset are deleted with it ({len(names):,})")
    # The database would take these along by itself, too, but row by row, which takes nearly twice as long.
    for model in (ChunkVector, Chunk):
        model.objects.filter(tenant=dataset.tenant_id, dataset=dataset).delete()
    File.objects.filter(pk__in=names).delete()
    transaction.on_commit(lambda: discard(names.values()))
