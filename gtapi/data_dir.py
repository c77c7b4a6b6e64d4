"""The data directory: embedded servers' data, generated secrets, logs and the usage spool.

The environment variable `GTAPI_HOME` sets it; the default is `var/` in the checkout. This module does not import
Django, so that the settings, the launcher and `manage.py` can use it first.
"""

import base64
import hashlib
import json
import os
import secrets
import shutil
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict

CHECKOUT = Path(__file__).resolve().parent.parent
DATABASE = "gtapi"
REMOVE = "Remove it, or set GTAPI_HOME to another folder."
POSTGRES_PORT = 5432  # part of the socket's file name; there is no TCP listener


class DataDirError(Exception):
    """The folder cannot be used. The message is shown to the user as it is."""


class DatabaseFields(TypedDict):
    NAME: str
    USER: str
    HOST: str
    PORT: str


@dataclass(frozen=True)
class DataDir:
    root: Path

    @classmethod
    def from_env(cls) -> "DataDir":
        configured = os.environ.get("GTAPI_HOME", "")
        # Resolve symlinks: the name of the runtime folder is derived from the path.
        return cls(Path(os.path.realpath(Path(configured).expanduser() if configured else CHECKOUT / "var")))

    @cached_property
    def path(self) -> Path:
        """The folder, created with mode 0700 if missing. Raises DataDirError if another user owns it."""
        return private_folder(self.root, "Set GTAPI_HOME to a folder that you own.")

    @property
    def runtime(self) -> Path:
        """The private folder for sockets; see `make_runtime`.

        A socket path has at most 107 bytes and the data directory's path may be longer, so this folder is in /tmp.
        Its name contains a hash of that path, so that two gateways do not collide. Raises DataDirError if another
        user created it.
        """
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        folder = Path("/tmp") / f"gtapi-{os.geteuid()}-{digest}"  # noqa: S108 - ownership is checked below
        if folder.exists() or folder.is_symlink():
            check_private(folder, REMOVE)
        return folder

    def make_runtime(self) -> Path:
        """Create the runtime folder. The servers' owner removes it when they stop."""
        return private_folder(self.runtime, REMOVE)

    @property
    def database(self) -> DatabaseFields:
        """Django's database settings for the embedded PostgreSQL; HOST is the folder of its socket."""
        return {"NAME": DATABASE, "USER": DATABASE, "HOST": str(self.runtime), "PORT": str(POSTGRES_PORT)}

    @property
    def redis_url(self) -> str:
        return f"unix://{self.runtime / 'redis.sock'}?db=0"

    @cached_property
    def logs(self) -> Path:
        return self._subfolder("logs")

    @cached_property
    def spool(self) -> Path:
        """Usage records that are written while Redis is unavailable."""
        return self._subfolder("spool")

    @property
    def demo_file(self) -> Path:
        return self.path / "demo.json"

    def secrets(self) -> dict[str, str]:
        """Return SECRET_KEY, KEY_PEPPERS and ENCRYPTION_KEYS, which are generated on first use.

        The last two are comma-separated lists, newest first; edit the file to rotate them. Raises DataDirError if
        the file is damaged.
        """
        file = self.path / "secrets.json"
        try:
            return _read_secrets(file)
        except FileNotFoundError:
            write_new_private_file(file, json.dumps(_new_secrets(), indent=1))
        # Read the file again: another process may have created it at the same time.
        return _read_secrets(file)

    def _subfolder(self, name: str) -> Path:
        folder = self.path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder


def private_folder(folder: Path, remedy: str) -> Path:
    """Create `folder` with mode 0700, or check that it is a real folder owned by the current user.

    Raises DataDirError otherwise: the owner of the folder could replace the sockets in it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise DataDirError(f"{folder} is not a folder. {remedy}") from None
    except OSError as error:
        raise DataDirError(f"{folder} cannot be created: {error.strerror}. {remedy}") from None
    check_private(folder, remedy)
    return folder


def check_private(folder: Path, remedy: str) -> None:
    """Restrict `folder` to its owner. Raises DataDirError unless it is a real folder of the current user."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise DataDirError(f"{folder} is not a folder. {remedy}")
    if status.st_uid != os.geteuid():
        raise DataDirError(f"{folder} belongs to another user (uid {status.st_uid}). {remedy}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        folder.chmod(0o700)


def write_private_file(file: Path, text: str) -> None:
    """Atomically replace `file` with `text`, readable only by the current user."""
    temporary = _write_temporary(file, text)
    temporary.replace(file)


def write_new_private_file(file: Path, text: str) -> None:
    """Atomically create `file` with `text`; does nothing if the file exists."""
    temporary = _write_temporary(file, text)
    try:
        file.hardlink_to(temporary)  # unlike a rename, this fails if the file exists
    except FileExistsError:
        return
    except OSError:
        if not file.exists():  # a file system without hard links
            shutil.copy(temporary, file)
    finally:
        temporary.unlink()


def _write_temporary(file: Path, text: str) -> Path:
    temporary = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text + "\n")
        out.flush()
        os.fsync(out.fileno())
    return temporary


def _new_secrets() -> dict[str, str]:
    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "KEY_PEPPERS": secrets.token_urlsafe(32),
        "ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


def _read_secrets(file: Path) -> dict[str, str]:
    try:
        data = json.loads(file.read_text())
        return {name: str(data[name]) for name in ("SECRET_KEY", "KEY_PEPPERS", "ENCRYPTION_KEYS")}
    except (ValueError, KeyError, TypeError):
        raise DataDirError(
            f"{file} is damaged. Restore it from a backup: API keys and credentials depend on it."
        ) from None


data_dir = DataDir.from_env()
