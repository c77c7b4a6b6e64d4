"""The environment of a test run: its servers and secrets, defined before Django reads its settings.

It is imported once, first of all, by `tests/conftest.py`. The folder is short, since sockets live in it.
"""

import atexit
import os
import secrets
import shutil
import sys
import tempfile
from base64 import urlsafe_b64encode
from pathlib import Path

import certifi

from gtapi.stack.postgres import Postgres
from gtapi.stack.redis import Redis

#: The shell's own variables, for what has to reach the internet.
OUTSIDE = dict(os.environ)
CHECKOUT = Path(__file__).resolve().parent.parent
ROOT = Path(tempfile.mkdtemp(prefix="gtapi-test-", dir="/tmp"))


def _remove(owner: int = os.getpid()) -> None:
    # A process that was forked off ends, too, and must not take the folder along.
    if os.getpid() == owner:
        shutil.rmtree(ROOT, ignore_errors=True)


atexit.register(_remove)

SOCKETS = ROOT / "s"
SOCKETS.mkdir(mode=0o700)
LOGS = ROOT / "logs"
LOGS.mkdir(mode=0o700)

#: Whom the run trusts over TLS: one authority instead of all, which every new client and process would read for
#: tens of milliseconds. What is tested speaks without TLS, or has a test certificate.
AUTHORITIES = ROOT / "authorities.pem"
AUTHORITIES.write_text("".join(Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")[:2]))

postgres = Postgres(ROOT / "postgres", SOCKETS, LOGS / "postgres.log", durable=False)
redis = Redis(ROOT / "redis", SOCKETS, LOGS / "redis.log")

#: What every process of the run gets, this one included.
VARIABLES = {
    "DJANGO_SETTINGS_MODULE": "gtapi.settings",
    "GTAPI_HOME": str(ROOT / "home"),
    "DATABASE_URL": postgres.database_url,
    "REDIS_URL": redis.url,
    "SECRET_KEY": secrets.token_urlsafe(50),
    # The second pepper is an old one: keys made under it are still good.
    "KEY_PEPPERS": f"{secrets.token_urlsafe(32)},{secrets.token_urlsafe(32)}",
    "ENCRYPTION_KEYS": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
    "SECURE_COOKIES": "false",
    "SSL_CERT_FILE": str(AUTHORITIES),
}
#: Variables of the shell that would reach into the run.
FOREIGN = (
    "OPENAI_BASE_URL",
    "OPENAI_API_KEY",
    "DEMO_PROVIDER_BASE_URL",
    "DEMO_PROVIDER_API_KEY",
    "PORT",
    "DEBUG",
    # Otherwise each of the hundreds of processes that are started would compile the whole project again.
    "PYTHONDONTWRITEBYTECODE",
)


def enter() -> None:
    for name in FOREIGN:
        os.environ.pop(name, None)
    os.environ.update(VARIABLES)
    sys.dont_write_bytecode = False


def leave() -> None:
    for name in VARIABLES:
        os.environ.pop(name, None)
    os.environ.update({name: OUTSIDE[name] for name in VARIABLES.keys() & OUTSIDE})
