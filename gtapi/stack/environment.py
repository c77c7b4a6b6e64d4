"""Load `.env` and fill in defaults of environment variables before Django reads its settings."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gtapi.data_dir import DataDir

FILE = Path(__file__).resolve().parent.parent.parent / ".env"
LOCAL_HOSTS = "localhost,127.0.0.1,[::1]"


def load_env_file(environment: MutableMapping[str, str], file: Path = FILE) -> None:
    """Add the `NAME=value` lines of a file to the environment, if it exists. Variables that are set win.

    Quotes around a value are removed. Lines that start with `#` and lines without `=` are ignored.
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
    """Set defaults for a command of `manage.py`; `launching` if the command is `run`.

    With an external database the secrets must be set, too. If they are not, `manage.py run` generates them in the
    data directory and later commands use them. Processes that are started without `manage.py`, as in production,
    get no such defaults.
    """
    for name in ("DATABASE_URL", "REDIS_URL"):
        if not environment.get(name):  # `make run REDIS_URL=` means the same as leaving it unset
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
    """Whether to run an embedded Redis: no external one is configured."""
    return environment.get("REDIS_URL", data_dir.redis_url) == data_dir.redis_url


def uses_embedded_postgres(environment: MutableMapping[str, str]) -> bool:
    """Whether to run an embedded PostgreSQL: no external one is configured."""
    return "DATABASE_URL" not in environment
