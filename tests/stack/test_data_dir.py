"""The data folder: private, created once, and never another user's."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gtapi.data_dir import DataDir, DataDirError


def test_processes_that_start_at_once_agree_on_the_secrets(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: DataDir(tmp_path / "home").secrets(), range(32)))
    assert all(secrets == found[0] for secrets in found)
    assert all(found[0].values())
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["secrets.json"]


def test_damaged_secrets_are_not_replaced(tmp_path):
    data_dir = DataDir(tmp_path)
    data_dir.secrets()
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(DataDirError, match="is damaged"):
        data_dir.secrets()
    assert (tmp_path / "secrets.json").read_text() == "{"


def test_homes_have_runtime_folders_of_their_own(tmp_path):
    first, second = DataDir(tmp_path / "first").runtime, DataDir(tmp_path / "second").runtime
    assert first != second
    assert len(os.fsencode(first / ".s.PGSQL.5432")) <= 107


def test_runtime_folder_that_somebody_planted_is_refused(tmp_path):
    # A link of that name to a folder that another user can read.
    digest = hashlib.sha256(os.fsencode(tmp_path)).hexdigest()[:12]
    planted = Path(f"/tmp/gtapi-{os.geteuid()}-{digest}")
    planted.symlink_to(tmp_path)
    try:
        with pytest.raises(DataDirError, match="is not a folder"):
            _ = DataDir(tmp_path).runtime
    finally:
        planted.unlink()


def test_open_home_is_closed_to_others(tmp_path):
    (tmp_path / "home").mkdir(mode=0o755)
    assert DataDir(tmp_path / "home").path.stat().st_mode & 0o777 == 0o700
