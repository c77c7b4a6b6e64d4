"""Runbooks as dataclasses, loaded from YAML files."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gtapi.yaml_files import read_yaml

FOLDER = Path(__file__).parent
#: Compatibility of a route: works as the client documents it, or is an extension of the gateway.
VERDICTS = {"native": "native", "gt_extension": "GT extension"}


@dataclass(frozen=True, slots=True)
class RunbookPreset:
    """The recommended preset for a client's keys."""

    slug: str
    label: str


@dataclass(frozen=True, slots=True)
class ClientSetting:
    """A setting of the client: its value, and its name as an environment variable and in each SDK."""

    name: str
    python: str
    node: str
    value: str
    variable: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class RunbookRoute:
    """A route that the client calls, as ``METHOD /v1/path``, and how it calls it."""

    call: str
    verdict: str
    how: str


@dataclass(frozen=True, slots=True)
class CodeSnippet:
    """A program or shell commands, ready to paste."""

    title: str
    language: str
    code: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Caveat:
    """A caveat, which applies if the gateway serves the routes in ``needs``."""

    text: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """An item of the checklist, and the name of its automated check."""

    check: str
    text: str


@dataclass(frozen=True, slots=True)
class Runbook:
    """A runbook. ``{{ base_url }}`` and ``{{ model }}`` in its texts are replaced by a tenant's values."""

    slug: str
    title: str
    verdict: str
    category: str
    preset: RunbookPreset
    summary: str
    evidence: str
    documentation: tuple[str, ...]
    settings: tuple[ClientSetting, ...]
    routes: tuple[RunbookRoute, ...]
    gaps: tuple[str, ...]
    prerequisites: tuple[str, ...]
    steps: tuple[str, ...]
    snippets: tuple[CodeSnippet, ...]
    caveats: tuple[Caveat, ...]
    checklist: tuple[ChecklistItem, ...]


@cache
def runbooks() -> Mapping[str, Runbook]:
    """Return all runbooks by slug, which is the name of the file."""
    return {path.stem: _read(path.stem, read_yaml(path)) for path in sorted(FOLDER.glob("*.yaml"))}


def _read(slug: str, data: dict[str, Any]) -> Runbook:
    """Build a runbook. Raises TypeError for unknown or missing fields, ValueError for an unknown verdict."""
    parts = {
        "settings": ClientSetting,
        "routes": RunbookRoute,
        "snippets": CodeSnippet,
        "checklist": ChecklistItem,
    }
    fields: dict[str, Any] = {
        **{name: tuple(value) if isinstance(value, list) else value for name, value in data.items()},
        **{name: tuple(kind(**item) for item in data[name]) for name, kind in parts.items()},
        "preset": RunbookPreset(**data["preset"]),
        "caveats": tuple(Caveat(item["text"], tuple(item.get("needs", ()))) for item in data["caveats"]),
    }
    runbook = Runbook(slug=slug, **fields)
    for verdict in (runbook.verdict, *(call.verdict for call in runbook.routes)):
        if verdict not in VERDICTS:
            raise ValueError(f"{slug}: unknown verdict {verdict}")
    return runbook
