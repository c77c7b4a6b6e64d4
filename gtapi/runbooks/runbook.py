"""What a runbook holds, read from its file."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gtapi.yaml_files import read_yaml

FOLDER = Path(__file__).parent
#: What is said of a route: it works as the client's own documentation has it, or it is an addition of ours.
VERDICTS = {"native": "native", "gt_extension": "GT extension"}


@dataclass(frozen=True, slots=True)
class RunbookPreset:
    """The preset for a client's keys."""

    slug: str
    label: str


@dataclass(frozen=True, slots=True)
class ClientSetting:
    """One of the client's settings: its value, and what it is called in the environment and in each SDK."""

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
    """A program or some commands, to be pasted as they are."""

    title: str
    language: str
    code: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Caveat:
    """Something to know, which holds once the routes that it needs are served."""

    text: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """A line of the checklist, and the name of the check that can be run for it."""

    check: str
    text: str


@dataclass(frozen=True, slots=True)
class Runbook:
    """The whole of it. ``{{ base_url }}`` and ``{{ model }}`` in a text stand for a tenant's values."""

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
    """Return every runbook by its slug, the name of its file."""
    return {path.stem: _read(path.stem, read_yaml(path)) for path in sorted(FOLDER.glob("*.yaml"))}


def _read(slug: str, said: dict[str, Any]) -> Runbook:
    """Return a runbook; what its file does not know how to say raises TypeError, a wrong verdict ValueError."""
    parts = {
        "settings": ClientSetting,
        "routes": RunbookRoute,
        "snippets": CodeSnippet,
        "checklist": ChecklistItem,
    }
    built: dict[str, Any] = {
        **{name: tuple(value) if isinstance(value, list) else value for name, value in said.items()},
        **{name: tuple(kind(**one) for one in said[name]) for name, kind in parts.items()},
        "preset": RunbookPreset(**said["preset"]),
        "caveats": tuple(Caveat(one["text"], tuple(one.get("needs", ()))) for one in said["caveats"]),
    }
    runbook = Runbook(slug=slug, **built)
    for verdict in (runbook.verdict, *(call.verdict for call in runbook.routes)):
        if verdict not in VERDICTS:
            raise ValueError(f"{slug}: there is no verdict {verdict}")
    return runbook
