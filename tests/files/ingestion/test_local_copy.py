"""Local copies of stored files: none if storage is a folder, else a temporary one."""

import os
import tempfile
from pathlib import Path
from typing import ClassVar

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, default_storage

from files.ingestion import local_copy
from files.ingestion.errors import TransientError
from gtapi.stack.locks import FileLock
from gtapi.tempdirs import LOCK
from tests import factories


class Remote(Storage):
    """A storage whose files have no local path, like a bucket."""

    files: ClassVar[dict[str, bytes]] = {}

    def exists(self, name):
        return name in self.files

    def _save(self, name, content):
        self.files[name] = content.read()
        return name

    def _open(self, name, mode="rb"):
        return ContentFile(self.files[name])


@pytest.fixture
def remote(settings, tmp_path):
    """Store files remotely; returns the folder for temporary copies."""
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": f"{__name__}.Remote"},
    }
    settings.UPLOAD_TEMP_DIR = str(tmp_path)
    return tmp_path


async def test_file_in_a_folder_is_not_copied():
    name = default_storage.save(factories.unique("files/local"), ContentFile(b"Here."))
    async with local_copy.local_path(name) as path:
        assert path == Path(default_storage.path(name))


async def test_remote_file_is_copied_and_the_copy_is_removed(remote):
    name = default_storage.save("files/one", ContentFile(b"There." * 1000))
    async with local_copy.local_path(name) as path:
        assert path.read_bytes() == b"There." * 1000
        # A sweep does not remove a copy in use.
        os.utime(path.parent, (0, 0))
        local_copy.sweep()
        assert path.exists()
    assert list(remote.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "remote"])
async def test_missing_file_is_a_transient_error(kind, request):
    if kind == "remote":
        request.getfixturevalue("remote")
    with pytest.raises(TransientError) as raised:
        async with local_copy.local_path("files/nowhere"):
            pass
    assert (raised.value.code, raised.value.provider) == ("storage_failed", False)


def test_copies_of_killed_processes_are_removed(remote):
    left, young = (Path(tempfile.mkdtemp(prefix=local_copy.PREFIX, dir=remote)) for _ in range(2))
    for folder in (left, young):
        (folder / "file").write_bytes(b"left behind")
        lock = FileLock(folder / LOCK)
        lock.acquire()
        lock.release()
    os.utime(left, (0, 0))
    local_copy.sweep()
    assert not left.exists()
    assert young.exists()
