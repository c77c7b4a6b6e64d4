"""Fixtures of the whole suite: real PostgreSQL, Redis and gateway processes, and a scripted provider.

Tests share one database and never empty it. Each creates its own tenant and commits, so that the gateway's
processes see what it does; a test that wants its rows rolled back marks itself with `django_db`.
"""

from collections.abc import Callable, Iterator

from tests import environment

environment.enter()

import django  # noqa: E402

django.setup()

import httpx  # noqa: E402
import openai  # noqa: E402
import pytest  # noqa: E402
from django.contrib.auth.hashers import PBKDF2PasswordHasher  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from xdist.scheduler import LoadScopeScheduling  # noqa: E402

from files.models import DatasetFile  # noqa: E402
from tests import answers, factories  # noqa: E402
from tests.gateway import GatewayProcess, IngestProcess, OCRProcess, WorkerProcess  # noqa: E402
from tests.upstream import Upstream  # noqa: E402

#: Cheap password hashes: real ones take half a second each. The number of iterations is stored in a hash.
PBKDF2PasswordHasher.iterations = 1


def pytest_configure(config) -> None:
    if config.getoption("numprocesses", None):
        # The processes that share the suite create their own environments. With this one, the first plugin of
        # each would read the settings, with the servers of this process, which starts none.
        environment.leave()


class ByFile(LoadScopeScheduling):
    """Whole files go to the next process that is free; those that share what takes long to start, to one of them."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((group[0] for group in (MODELS, INGESTING) if file.startswith(group)), file)


MODELS = ("tests/local_models",)
INGESTING = (
    "tests/files/ingestion",
    "tests/files/test_dataset_files.py",
    "tests/files/test_sdk_polling.py",
    "tests/test_runbooks.py",
    "tests/e2e/test_answers_from_data.py",
)
#: Where few tests take minutes. They come first, so that no process is left alone with them at the end.
LONG = (*MODELS, "tests/stack")


def pytest_collection_modifyitems(items) -> None:
    def turn(item) -> tuple[bool, bool, bool, bool]:
        # Tests that use the workers of `ingest` and `ocr` are consecutive: other tests stop them.
        return (
            not item.nodeid.startswith(LONG),
            not item.nodeid.startswith(INGESTING),
            "ingest" not in item.fixturenames,
            "ocr" not in item.fixturenames,
        )

    items.sort(key=turn)


def pytest_xdist_make_scheduler(config, log) -> ByFile:
    return ByFile(config, log)


@pytest.fixture(scope="session")
def servers() -> Iterator[None]:
    """PostgreSQL and Redis, private to this run."""
    with environment.postgres, environment.redis:
        yield


@pytest.fixture(scope="session")
def django_db_setup(servers, django_db_blocker) -> Iterator[None]:
    """One migrated database, open to every test; a copy of it would be hidden from the gateway."""
    with django_db_blocker.unblock():
        call_command("migrate", verbosity=0)
        yield
        connections["default"].close()
        connections["default"].close_pool()


@pytest.fixture(scope="session", autouse=True)
def database(django_db_setup) -> None:
    """The database, for tests that have no other reason to name it."""


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """The scripted provider."""
    running = Upstream().start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def gateway(database) -> Iterator[GatewayProcess]:
    """A gateway with two worker processes, shared by all tests."""
    with GatewayProcess() as running:
        yield running


@pytest.fixture
def start_gateway(database) -> Iterator[Callable[..., GatewayProcess]]:
    """Starts more gateways, with other settings: `start_gateway(workers=1, MAX_BODY_BYTES="1000")`."""
    started: list[GatewayProcess] = []

    def start(workers: int = 1, **variables: str) -> GatewayProcess:
        running = GatewayProcess(factories.unique("gateway"), workers=workers, **variables)
        started.append(running)
        return running.__enter__()

    yield start
    for running in started:
        running.stop()


@pytest.fixture(scope="session")
def worker(database) -> Iterator[WorkerProcess]:
    """A Celery worker with beat, shared by all tests."""
    with WorkerProcess() as running:
        yield running


@pytest.fixture(scope="session")
def ingest_worker(worker) -> Iterator[IngestProcess]:
    """The worker of the queue `ingest`, started by the first test that needs it."""
    ingest = _file_workers["ingest"] = IngestProcess()
    yield ingest
    ingest.stop()


@pytest.fixture(scope="session")
def ocr_worker(worker) -> Iterator[OCRProcess]:
    """The worker of the queue `ocr`, started by the first test that needs it."""
    ocr = _file_workers["ocr"] = OCRProcess()
    yield ocr
    ocr.stop()


#: The workers that process files, by the fixture that runs them.
_file_workers: dict[str, IngestProcess] = {}


@pytest.fixture
def ingest(ingest_worker) -> IngestProcess:
    """A worker that processes uploaded files, shared by consecutive tests; beat wakes it, too."""
    if not ingest_worker.is_running():
        # Unfinished files of other tests would delay those of this one.
        DatasetFile.objects.filter(state__in=["uploaded", "processing"]).update(
            state="cancelled", lease=None, lease_until=None, retry_at=None
        )
        ingest_worker.start()
        ingest_worker.wait_ready()
    return ingest_worker


@pytest.fixture
def ocr(ingest, ocr_worker) -> OCRProcess:
    """A worker that processes the files that need OCR, next to that of `ingest`."""
    if not ocr_worker.is_running():
        ocr_worker.start()
        ocr_worker.wait_ready()
    return ocr_worker


@pytest.fixture(autouse=True)
def _stop_unused_file_workers(request) -> None:
    """Without these fixtures files stay as they were uploaded, or in the queue for OCR."""
    for fixture, running in _file_workers.items():
        if fixture not in request.fixturenames:
            running.stop()


@pytest.fixture
def world(upstream) -> factories.World:
    """A tenant of the test's own; its provider answers "Hello there." until told otherwise."""
    made = factories.world(upstream.base_url)
    upstream.script(made.raw, answers.answer())
    return made


@pytest.fixture
def http(gateway, world) -> Iterator[httpx.Client]:
    """A plain HTTP client with the key of the test's tenant: `http.post("/chat/completions", json=...)`."""
    with httpx.Client(
        base_url=gateway.base_url, headers=world.authorization, timeout=30, verify=False
    ) as client:
        yield client


@pytest.fixture(params=["", "/v1"], ids=["bare", "v1"])
def client(gateway, world, request) -> Iterator[openai.OpenAI]:
    """The official SDK, unchanged, on both base URLs; it checks every answer strictly and never retries."""
    with openai.OpenAI(
        base_url=gateway.base_url + request.param,
        api_key=world.key.plain,
        max_retries=0,
        timeout=30,
        _strict_response_validation=True,
    ) as sdk:
        yield sdk
