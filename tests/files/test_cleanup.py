"""Cleanup removes leftovers of aborted uploads and nothing that is in use."""

import os
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone

from files import storage, tasks
from files.models import Dataset, File, OrphanedBlob, UploadKey
from files.uploads import cleanup, deletion
from files.uploads.store import FileUpload, IncomingFile, begin_upload, store_upload
from gtapi import tempdirs
from gtapi.web import multipart
from inference.models import Conversation
from tests import factories
from tests.waiting import eventually
from tests.wire import RawClient

LONG_AGO = timedelta(hours=2)


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def incoming(tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(b"The office opens at nine.")
    return IncomingFile(path, "notes.txt", "text/plain", path.stat().st_size)


def aged(rows) -> None:
    assert rows.update(created_at=timezone.now() - LONG_AGO)


def test_bytes_of_an_aborted_upload_are_removed(tenant, incoming):
    upload = FileUpload(tenant.pk, None, File.Origin.FILES, incoming)
    name = storage.new_name()
    assert begin_upload(upload, storage.digest(incoming.path), name) is None
    storage.put(incoming.path, name)
    cleanup.clean_up()
    assert default_storage.exists(name)
    aged(OrphanedBlob.objects.filter(path=name))
    tasks.sweep_uploads()
    assert not default_storage.exists(name)
    assert not OrphanedBlob.objects.filter(path=name).exists()


def test_upload_aborted_before_its_bytes_is_removed(tenant, incoming):
    name = storage.new_name()
    begin_upload(FileUpload(tenant.pk, None, File.Origin.FILES, incoming), "0" * 64, name)
    aged(OrphanedBlob.objects.filter(path=name))
    cleanup.clean_up()
    assert not OrphanedBlob.objects.filter(path=name).exists()


def test_stored_file_leaves_no_orphans_and_stays(tenant, incoming):
    stored_file = store_upload(FileUpload(tenant.pk, None, File.Origin.FILES, incoming))
    assert not OrphanedBlob.objects.filter(path=stored_file.file.path).exists()
    OrphanedBlob.objects.create(path=stored_file.file.path, created_at=timezone.now() - LONG_AGO)
    cleanup.clean_up()
    assert default_storage.exists(stored_file.file.path)


@pytest.mark.parametrize("how", ["tenant", "rows", "sql"])
def test_bytes_of_deleted_files_are_removed(tenant, incoming, how):
    stored_file = store_upload(FileUpload(tenant.pk, None, File.Origin.FILES, incoming))
    if how == "tenant":
        tenant.delete()
    elif how == "rows":
        File.objects.filter(pk=stored_file.file.pk).delete()
    else:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM files_file WHERE id = %s", [stored_file.file.pk])
    assert default_storage.exists(stored_file.file.path)
    aged(OrphanedBlob.objects.filter(path=stored_file.file.path))
    cleanup.clean_up()
    assert not default_storage.exists(stored_file.file.path)


def test_failed_removal_of_bytes_is_retried(tenant, incoming):
    stored_file = store_upload(FileUpload(tenant.pk, None, File.Origin.FILES, incoming))
    path = Path(default_storage.path(stored_file.file.path))
    path.unlink()
    path.mkdir()
    (path / "in the way").touch()
    deletion.delete_file(stored_file.file)
    assert OrphanedBlob.objects.filter(path=stored_file.file.path).exists()
    (path / "in the way").unlink()
    aged(OrphanedBlob.objects.filter(path=stored_file.file.path))
    cleanup.clean_up()
    assert not path.exists()
    assert not OrphanedBlob.objects.filter(path=stored_file.file.path).exists()


def test_blobs_unknown_to_the_database_are_not_touched():
    name = storage.new_name()
    path = Path(settings.MEDIA_ROOT, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"another installation's")
    os.utime(path, (0, 0))
    cleanup.clean_up()
    assert path.exists()
    path.unlink()


def test_conversation_files_are_deleted_with_their_key(tenant, incoming):
    key = factories.key(tenant).row
    dataset = factories.dataset(tenant, hidden=True)
    Conversation.objects.create(tenant=tenant, key=key, dataset=dataset)
    stored_file = store_upload(
        FileUpload(tenant.pk, key.pk, File.Origin.CONVERSATION, incoming, dataset=dataset)
    )
    aged(Dataset.objects.filter(pk=dataset.pk))
    cleanup.clean_up()
    assert Dataset.objects.filter(pk=dataset.pk).exists()
    key.delete()
    cleanup.clean_up()
    assert not Dataset.objects.filter(pk=dataset.pk).exists()
    assert not File.objects.filter(pk=stored_file.file.pk).exists()
    assert not default_storage.exists(stored_file.file.path)


def test_files_whose_dataset_was_deleted_without_them_are_removed(tenant, incoming):
    dataset = factories.dataset(tenant)
    stored_file = store_upload(FileUpload(tenant.pk, None, File.Origin.DATASET, incoming, dataset=dataset))
    alone = factories.file(tenant, origin=File.Origin.FILES)
    aged(File.objects.filter(tenant=tenant))
    cleanup.clean_up()
    assert File.objects.filter(tenant=tenant).count() == 2
    dataset.delete()
    cleanup.clean_up()
    assert list(File.objects.filter(tenant=tenant)) == [alone]
    assert not default_storage.exists(stored_file.file.path)


def test_idempotency_keys_of_uploads_expire_after_a_day(tenant):
    key = factories.key(tenant).row
    for hours in (1, 25):
        made = timezone.now() - timedelta(hours=hours)
        file = factories.file(tenant, key=key)
        UploadKey.objects.create(
            key=key, idempotency_key=str(hours), fingerprint="x", file=file, created_at=made
        )
    cleanup.clean_up()
    assert [used.idempotency_key for used in UploadKey.objects.filter(key=key)] == ["1"]


@pytest.fixture
def begun(start_gateway, world, tmp_path):
    """A gateway with its own temporary folder, and an upload to it of which half has been sent."""
    gateway = start_gateway(UPLOAD_TEMP_DIR=str(tmp_path))
    client = RawClient(gateway.port, world.authorization["authorization"])
    client.socket.sendall(client.head(1 << 20, "/api/tenant/files", "multipart/form-data; boundary=x"))
    client.socket.sendall(b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n')
    client.socket.sendall(b"x" * 100_000)
    eventually(lambda: any(file.stat().st_size for file in tmp_path.glob(f"{multipart.PREFIX}*/*")))
    yield gateway
    client.leave()


def test_folders_of_killed_processes_are_removed_and_those_of_live_ones_are_not(begun, tmp_path, settings):
    settings.UPLOAD_TEMP_DIR = str(tmp_path)
    (folder,) = tmp_path.glob(f"{multipart.PREFIX}*")
    os.utime(folder, (0, 0))
    tempdirs.remove_abandoned(multipart.PREFIX)
    assert folder.exists()
    killed = subprocess.run(
        ["pgrep", "-P", str(begun.process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    os.kill(int(killed[0]), signal.SIGKILL)

    def swept() -> bool:
        os.utime(folder, (0, 0))
        return bool(tempdirs.remove_abandoned(multipart.PREFIX))

    eventually(swept)
    assert not folder.exists()


def test_new_folder_is_not_removed(tmp_path, settings):
    settings.UPLOAD_TEMP_DIR = str(tmp_path)
    folder = tmp_path / f"{multipart.PREFIX}new"
    folder.mkdir()
    assert tempdirs.remove_abandoned(multipart.PREFIX) == 0
    assert folder.exists()


def test_upload_of_a_disconnecting_client_leaves_no_folder(world, start_gateway, tmp_path):
    gateway = start_gateway(UPLOAD_TEMP_DIR=str(tmp_path))
    client = RawClient(gateway.port, world.authorization["authorization"])
    client.socket.sendall(client.head(1 << 20, "/api/tenant/files", "multipart/form-data; boundary=x"))
    client.socket.sendall(b"--x\r\n")
    eventually(lambda: list(tmp_path.glob(f"{multipart.PREFIX}*")))
    client.leave("reset")
    eventually(lambda: not list(tmp_path.glob(f"{multipart.PREFIX}*")))
