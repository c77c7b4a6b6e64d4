"""What the environment leaves open, filled in before the settings read it."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gtapi.data_dir import DataDir

FILE = Path(__file__).resolve().parent.parent.parent / ".env"
LOCAL_HOSTS = "localhost,127.0.0.1,[::1]"


def load_env_file(environment: MutableMapping[str, str], file: Path = FILE) -> None:
    """Add the lines `NAME=value` of a file, where there is one, to what the environment does not name.

    Quotes around a value are taken off; lines that open with `#`, and lines without `=`, mean nothing.
    """
    if not file.exists():
        return
    for line in file.read_text().splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            value = value.strip()
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            environment.setdefault(name.strip(), value)


def apply_defaults(environment: MutableMapping[str, str], data_dir: "DataDir", *, launching: bool) -> None:
    """Make `environment` whole for a command of `manage.py`; `launching` where that is `run`.

    A database of one's own goes with secrets of one's own. Where they are missing, `manage.py run` makes them
    under the data_dir, and later commands find them there. Processes that are started without `manage.py`, as in
    production, get none of this.
    """
    for name in ("DATABASE_URL", "REDIS_URL"):
        if not environment.get(name):  # `make run REDIS_URL=` means the same as not to name it
            environment.pop(name, None)
    if "DATABASE_URL" not in environment:
        return
    environment.setdefault("REDIS_URL", data_dir.redis_url)
    if launching or (data_dir.root / "secrets.json").exists():
        for name, value in data_dir.secrets().items():
            environment.setdefault(name, str(value))
    if launching:
        environment.setdefault("ALLOWED_HOSTS", LOCAL_HOSTS)
        environment.setdefault("SECURE_COOKIES", "false")


def uses_embedded_redis(environment: MutableMapping[str, str], data_dir: "DataDir") -> bool:
    """Whether Redis is ours to run: nobody else's is named."""
    return environment.get("REDIS_URL", data_dir.redis_url) == data_dir.redis_url


def uses_embedded_postgres(environment: MutableMapping[str, str]) -> bool:
    """Whether PostgreSQL is ours to run: nobody else's is named."""
    return "DATABASE_URL" not in environment
