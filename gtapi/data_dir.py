"""The one folder that a gateway without servers of its own keeps everything in, and the secrets made there.

`GTAPI_HOME` names it; by default it is `var/` in the checkout. Nothing here imports Django, so that the
settings, the launcher and `manage.py` can all ask it before anything else is loaded.
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
REMOVE = "Remove it, or choose another GTAPI_HOME."
POSTGRES_PORT = 5432  # of the socket's name only: nothing listens on it


class DataDirError(Exception):
    """The folder cannot be used; the text is one sentence for the person at the keyboard."""


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
        chosen = os.environ.get("GTAPI_HOME", "")
        # realpath, so that the name of the runtime folder does not depend on how the folder was reached.
        return cls(Path(os.path.realpath(Path(chosen).expanduser() if chosen else CHECKOUT / "var")))

    @cached_property
    def path(self) -> Path:
        """The folder itself, made with mode 0700 when it is missing. Raises DataDirError when it is not ours."""
        return private_folder(self.root, "Set GTAPI_HOME to a folder of your own.")

    @property
    def runtime(self) -> Path:
        """A short private folder for sockets, whose addresses have at most 107 bytes; see `make_runtime`.

        It lies outside the data_dir, whose own path may be longer than that, and carries a hash of the home's
        path, so that two gateways stand beside each other. Raises DataDirError when somebody else made it first.
        """
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        folder = Path("/tmp") / f"gtapi-{os.geteuid()}-{digest}"  # noqa: S108 - ownership is checked below
        if folder.exists() or folder.is_symlink():
            check_private(folder, REMOVE)
        return folder

    def make_runtime(self) -> Path:
        """Make that folder, for the time that servers have their sockets there."""
        return private_folder(self.runtime, REMOVE)

    @property
    def database(self) -> DatabaseFields:
        """The fields of Django's DATABASES for the embedded PostgreSQL; HOST is the folder of its socket."""
        return {"NAME": DATABASE, "USER": DATABASE, "HOST": str(self.runtime), "PORT": str(POSTGRES_PORT)}

    @property
    def redis_url(self) -> str:
        return f"unix://{self.runtime / 'redis.sock'}?db=0"

    @cached_property
    def logs(self) -> Path:
        return self._subfolder("logs")

    @cached_property
    def spool(self) -> Path:
        """Where usage records wait for Redis to come back."""
        return self._subfolder("spool")

    @property
    def demo_file(self) -> Path:
        return self.path / "demo.json"

    def secrets(self) -> dict[str, str]:
        """SECRET_KEY, KEY_PEPPERS and ENCRYPTION_KEYS of this data_dir, made on first use and never again.

        The last two are comma separated lists, newest first, so that they can rotate by an edit of the file.
        Raises DataDirError when the file that holds them cannot be read as what was written.
        """
        file = self.path / "secrets.json"
        try:
            return _read_secrets(file)
        except FileNotFoundError:
            write_new_private_file(file, json.dumps(_new_secrets(), indent=1))
        # Read back rather than remembered: of two processes that start at once, one has lost the race.
        return _read_secrets(file)

    def _subfolder(self, name: str) -> Path:
        folder = self.path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder


def private_folder(folder: Path, remedy: str) -> Path:
    """Make `folder` with mode 0700, or check that the one there is a real folder of this very user.

    Raises DataDirError otherwise: whoever owns the folder could put a socket of their own into it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise DataDirError(f"{folder} is not a folder. {remedy}") from None
    except OSError as error:
        raise DataDirError(f"{folder} cannot be made: {error.strerror}. {remedy}") from None
    check_private(folder, remedy)
    return folder


def check_private(folder: Path, remedy: str) -> None:
    """Close `folder` to others; raises DataDirError unless it is a real folder of this very user."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise DataDirError(f"{folder} is not a folder. {remedy}")
    if found.st_uid != os.geteuid():
        raise DataDirError(f"{folder} belongs to another user (uid {found.st_uid}). {remedy}")
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)


def write_private_file(file: Path, text: str) -> None:
    """Replace `file` in one step with `text`, readable by this user alone."""
    draft = _draft(file, text)
    draft.replace(file)


def write_new_private_file(file: Path, text: str) -> None:
    """Put `text` into `file` in one step, unless the file is there already: then nothing changes."""
    draft = _draft(file, text)
    try:
        file.hardlink_to(draft)  # fails when the file exists, which a rename would not
    except FileExistsError:
        return
    except OSError:
        if not file.exists():  # a file system without hard links
            shutil.copy(draft, file)
    finally:
        draft.unlink()


def _draft(file: Path, text: str) -> Path:
    draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text + "\n")
        out.flush()
        os.fsync(out.fileno())
    return draft


def _new_secrets() -> dict[str, str]:
    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "KEY_PEPPERS": secrets.token_urlsafe(32),
        "ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


def _read_secrets(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_text())
        return {name: str(found[name]) for name in ("SECRET_KEY", "KEY_PEPPERS", "ENCRYPTION_KEYS")}
    except (ValueError, KeyError, TypeError):
        raise DataDirError(
            f"{file} is damaged: restore it, since keys and credentials depend on it."
        ) from None


data_dir = DataDir.from_env()
