"""What has to be said in production, where nothing is made up."""

import subprocess
import sys

import pytest

from tests import environment

REQUIRED = ("REDIS_URL", "SECRET_KEY", "KEY_PEPPERS", "ENCRYPTION_KEYS")


def load_settings(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import gtapi.settings"],
        env=variables,
        cwd=environment.CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_production_loads_with_what_is_required_and_nothing_else():
    variables = {name: environment.VARIABLES[name] for name in ("DATABASE_URL", *REQUIRED)}
    done = load_settings(variables)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", REQUIRED)
def test_with_a_database_of_ones_own_nothing_is_defaulted(missing):
    variables = {name: environment.VARIABLES[name] for name in ("DATABASE_URL", *REQUIRED) if name != missing}
    done = load_settings(variables)
    assert done.returncode != 0
    assert f"Set the {missing} environment variable" in done.stderr


@pytest.mark.parametrize(
    "keys",
    ["secret", "AAAA", f"{environment.VARIABLES['ENCRYPTION_KEYS']},ключ", "é" * 44],
    ids=["word", "short", "second", "foreign"],
)
def test_encryption_keys_that_encrypt_nothing_stop_the_start(keys):
    variables = {name: environment.VARIABLES[name] for name in ("DATABASE_URL", *REQUIRED)}
    done = load_settings({**variables, "PYTHONUTF8": "1", "ENCRYPTION_KEYS": keys})
    assert done.returncode != 0
    sentence = done.stderr.splitlines()[-1]
    assert "ENCRYPTION_KEYS must be a comma-separated list of Fernet keys" in sentence
    # A key that is only mistyped is still half a secret.
    assert keys not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("BODY_MIN_RATE", "0"), ("BODY_SECONDS", "-1"), ("HEADER_SECONDS", "0.0"), ("EXTRACTION_SECONDS", "0")],
)
def test_a_limit_that_is_none_stops_the_start(name, value):
    variables = {required: environment.VARIABLES[required] for required in ("DATABASE_URL", *REQUIRED)}
    done = load_settings({**variables, name: value})
    assert done.returncode != 0
    assert f"{name} must be greater than 0." in done.stderr.splitlines()[-1]
