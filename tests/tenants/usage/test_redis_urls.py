"""The ledger reaches Redis by every kind of URL, and the checks say whether it can be trusted there."""

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
from tests.tenants.usage.test_recording import entry
from tests.waiting import eventually

PASSWORD = "p@ss/word"
QUOTED = "p%40ss%2Fword"


class GuardedRedis(Redis):
    """A Redis on a port as well, behind a password."""

    port = 0

    def command(self):
        return [*super().command(), "--port", str(self.port), "--requirepass", PASSWORD]

    def answers(self):
        with contextlib.suppress(redis_client.ConnectionError):
            return redis_client.Redis(port=self.port, password=PASSWORD).ping()
        return False


@pytest.fixture(scope="module")
def guarded():
    folder = environment.ROOT / "guarded"
    folder.mkdir(mode=0o700)
    server = GuardedRedis(folder / "redis", folder)
    server.port = free_port()
    with server:
        yield server


def entries(server, number: int) -> int:
    with redis_client.Redis(port=server.port, password=PASSWORD, db=number) as client:
        return client.xlen(STREAM)


async def record_over(url, settings, folder):
    settings.REDIS_URL = url
    settings.USAGE_SPOOL_DIR = folder
    async with product.recording():
        await product.record(entry())


async def test_a_url_with_password_and_database_is_understood(guarded, settings, tmp_path):
    await record_over(f"redis://:{QUOTED}@127.0.0.1:{guarded.port}/3", settings, tmp_path)
    assert entries(guarded, 3) == 1


async def test_a_url_with_a_user_is_understood(guarded, settings, tmp_path):
    await record_over(f"redis://default:{QUOTED}@127.0.0.1:{guarded.port}/4", settings, tmp_path)
    assert entries(guarded, 4) == 1


async def test_a_unix_socket_with_password_and_database_is_understood(guarded, settings, tmp_path):
    await record_over(f"unix://:{QUOTED}@{guarded.socket}?db=5", settings, tmp_path)
    assert entries(guarded, 5) == 1


async def test_a_wrong_password_sends_records_to_the_spool_and_is_not_logged(
    guarded, settings, tmp_path, caplog
):
    await record_over(f"redis://:not-the-password@127.0.0.1:{guarded.port}/6", settings, tmp_path)
    assert entries(guarded, 6) == 0
    assert len(list(tmp_path.iterdir())) == 1
    assert "WRONGPASS" in caplog.text
    assert "not-the-password" not in caplog.text


@pytest.fixture
async def tls_port(guarded, tmp_path):
    """A port that ends TLS and passes on what it carries to Redis."""
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
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", guarded.port)
        await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def test_tls_is_spoken_and_its_certificate_verified(guarded, tls_port, settings, tmp_path):
    url = f"rediss://:{QUOTED}@127.0.0.1:{tls_port}/7"
    await record_over(url, settings, tmp_path / "unknown")
    assert entries(guarded, 7) == 0
    await record_over(f"{url}?ssl_ca_certs={tmp_path}/ca.pem", settings, tmp_path / "known")
    assert entries(guarded, 7) == 1


def identities(settings, url) -> list[str]:
    settings.REDIS_URL = url
    return [warning.id for warning in run_checks(tags=["redis"], include_deployment_checks=True)]


def test_the_check_warns_of_a_redis_that_can_lose_records(ledger, settings):
    assert identities(settings, ledger.server.url) == []
    for name, value, warning in (
        ("appendfsync", "everysec", "tenants.W001"),
        ("appendonly", "no", "tenants.W001"),
    ):
        before = ledger.client.config_get(name)[name]
        ledger.client.config_set(name, value)
        assert identities(settings, ledger.server.url) == [warning]
        ledger.client.config_set(name, before)
    # A Redis that still writes its first file does not stop when it is told to.
    eventually(lambda: not ledger.client.info("persistence")["aof_rewrite_in_progress"])
    ledger.client.config_set("maxmemory", "1gb")
    ledger.client.config_set("maxmemory-policy", "allkeys-lru")
    assert identities(settings, ledger.server.url) == ["tenants.W002"]
    ledger.client.config_set("maxmemory", "0")
    ledger.client.config_set("maxmemory-policy", "noeviction")
    assert identities(settings, ledger.server.url) == []


def test_the_check_says_nothing_of_a_redis_that_is_away(settings, tmp_path):
    assert identities(settings, f"unix://{tmp_path}/nobody.sock") == []
