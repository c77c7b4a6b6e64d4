"""The official SDK, in both major versions in use, against a running gateway."""

import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import openai
import pytest

from tests import environment, factories
from tests.e2e import sdk_checks
from tests.e2e.routes import CAPABILITIES
from tests.e2e.scenarios import MODELS, ONLY_CHAT

HERE = Path(__file__).parent
BASES = pytest.mark.parametrize("base", ["/api/tenant", "/api/tenant/v1"])


@pytest.fixture(scope="session")
def facts(gateway, upstream) -> dict[str, str]:
    """What the checks are told, for a tenant with one catalog entry for each scenario."""
    tenant = factories.tenant()
    provider = factories.provider(tenant, upstream.base_url)
    entries = [
        factories.catalog(provider, name, capabilities=CAPABILITIES[: 1 if name == ONLY_CHAT else None])
        for name in MODELS
    ]
    guides = factories.guides(entries)
    for entry in entries:
        upstream.script(entry.model, MODELS[entry.name])
    return {
        "url": gateway.url,
        "api_key": factories.key(tenant, [*entries, *guides]).plain,
        "limited_key": factories.key(tenant, entries, ["models:read"]).plain,
    }


def pip() -> list[str]:
    """Our own pip; the system's, where the virtual environment could be made without one only."""
    if find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    return ["pip3", "--python", sys.executable]


@pytest.fixture(scope="session")
def older_sdk() -> Path:
    """A folder with the packages of the previous major version, filled once and kept."""
    locked = HERE / "openai-2.txt"
    home = Path(os.environ.get("GTAPI_TEST_CACHE", environment.CHECKOUT / "var" / "clients"))
    folder = home / f"openai-2-packages-{sha256(locked.read_bytes()).hexdigest()[:12]}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        options = ["--quiet", "--require-hashes", "--no-deps", "--target", folder, "-r", locked]
        subprocess.run([*pip(), "install", *options], env=environment.OUTSIDE, check=True)
        (folder / "complete").touch()
    return folder


@pytest.fixture(scope="session")
def outcomes(facts, older_sdk) -> dict[str, dict]:
    """What each check of the older SDK came to, by base URL: one process for all of them."""
    found = {}
    for base in ("/api/tenant", "/api/tenant/v1"):
        told = {**facts, "base_url": facts["url"] + base}
        done = subprocess.run(
            # Without the site's packages there is no other SDK than the one in the folder.
            [sys.executable, "-S", HERE / "sdk_checks.py"], env={**os.environ, "PYTHONPATH": str(older_sdk)},
            input=json.dumps(told), capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found[base] = json.loads(done.stdout)
    return found


@BASES
@pytest.mark.parametrize("check", sdk_checks.CHECKS)
def test_sdk_3(facts, base, check):
    assert openai.__version__.startswith("3.")
    base_url = facts["url"] + base
    with openai.OpenAI(
        base_url=base_url,
        api_key=facts["api_key"],
        max_retries=0,
        timeout=30,
        _strict_response_validation=True,
    ) as sdk:
        sdk_checks.CHECKS[check](sdk, **{**facts, "base_url": base_url})


@BASES
@pytest.mark.parametrize("check", sdk_checks.CHECKS)
def test_sdk_2(outcomes, base, check):
    assert outcomes[base]["version"].startswith("2.")
    assert outcomes[base]["checks"][check] is None
