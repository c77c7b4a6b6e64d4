"""The ledger supports every kind of Redis URL, and system checks warn of a Redis that can lose events."""

import asyncio
import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
import redis as redis_client
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.checks import run_checks

from gtapi.stack.redis import Redis
from tenants.usage import ledger as product
from tenants.usage.redis_stream import STREAM
from tests import environment
from tests.gateway import free_port
from tests.tenants.usage.processes import usage_event
from tests.waiting import eventually

PASSWORD = "p@ss/word"
QUOTED = "p%40ss%2Fword"


class PasswordRedis(Redis):
    """A Redis that also listens on a TCP port and requires a password."""

    port = 0

    def command(self):
        return [*super().command(), "--port", str(self.port), "--requirepass", PASSWORD]

    def is_ready(self):
        with contextlib.suppress(redis_client.ConnectionError):
            return redis_client.Redis(port=self.port, password=PASSWORD).ping()
        return False


@pytest.fixture(scope="module")
def password_redis():
    folder = environment.ROOT / "password_redis"
    folder.mkdir(mode=0o700)
    server = PasswordRedis(folder / "redis", folder)
    server.port = free_port()
    with server:
        yield server


def stream_length(server, number: int) -> int:
    with redis_client.Redis(port=server.port, password=PASSWORD, db=number) as client:
        return client.xlen(STREAM)


async def record_over(url, settings, folder):
    settings.REDIS_URL = url
    settings.USAGE_SPOOL_DIR = folder
    async with product.recording():
        await product.record(usage_event())


async def test_url_with_password_and_database(password_redis, settings, tmp_path):
    await record_over(f"redis://:{QUOTED}@127.0.0.1:{password_redis.port}/3", settings, tmp_path)
    assert stream_length(password_redis, 3) == 1


async def test_url_with_user(password_redis, settings, tmp_path):
    await record_over(f"redis://default:{QUOTED}@127.0.0.1:{password_redis.port}/4", settings, tmp_path)
    assert stream_length(password_redis, 4) == 1


async def test_unix_socket_url_with_password_and_database(password_redis, settings, tmp_path):
    await record_over(f"unix://:{QUOTED}@{password_redis.socket}?db=5", settings, tmp_path)
    assert stream_length(password_redis, 5) == 1


async def test_wrong_password_sends_events_to_the_spool_and_is_not_logged(
    password_redis, settings, tmp_path, caplog
):
    await record_over(f"redis://:not-the-password@127.0.0.1:{password_redis.port}/6", settings, tmp_path)
    assert stream_length(password_redis, 6) == 0
    assert len(list(tmp_path.iterdir())) == 1
    assert "WRONGPASS" in caplog.text
    assert "not-the-password" not in caplog.text


@pytest.fixture
async def tls_port(password_redis, tmp_path):
    """A port that terminates TLS and forwards the data to Redis."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis of the tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")

    async def pipe(source, target):
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
        target.close()

    async def serve(reader, writer):
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", password_redis.port)
        await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def test_tls_url_verifies_the_certificate(password_redis, tls_port, settings, tmp_path):
    url = f"rediss://:{QUOTED}@127.0.0.1:{tls_port}/7"
    await record_over(url, settings, tmp_path / "unknown")
    assert stream_length(password_redis, 7) == 0
    await record_over(f"{url}?ssl_ca_certs={tmp_path}/ca.pem", settings, tmp_path / "known")
    assert stream_length(password_redis, 7) == 1


def warning_ids(settings, url) -> list[str]:
    settings.REDIS_URL = url
    return [warning.id for warning in run_checks(tags=["redis"], include_deployment_checks=True)]


def test_check_warns_of_a_redis_that_can_lose_events(ledger, settings):
    assert warning_ids(settings, ledger.server.url) == []
    for name, value, warning in (
        ("appendfsync", "everysec", "tenants.W001"),
        ("appendonly", "no", "tenants.W001"),
    ):
        before = ledger.client.config_get(name)[name]
        ledger.client.config_set(name, value)
        assert warning_ids(settings, ledger.server.url) == [warning]
        ledger.client.config_set(name, before)
    # Redis does not stop on SIGTERM while it writes its first append-only file.
    eventually(lambda: not ledger.client.info("persistence")["aof_rewrite_in_progress"])
    ledger.client.config_set("maxmemory", "1gb")
    ledger.client.config_set("maxmemory-policy", "allkeys-lru")
    assert warning_ids(settings, ledger.server.url) == ["tenants.W002"]
    ledger.client.config_set("maxmemory", "0")
    ledger.client.config_set("maxmemory-policy", "noeviction")
    assert warning_ids(settings, ledger.server.url) == []


def test_check_ignores_an_unavailable_redis(settings, tmp_path):
    assert warning_ids(settings, f"unix://{tmp_path}/missing.sock") == []
