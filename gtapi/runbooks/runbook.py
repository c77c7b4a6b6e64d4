"""Data classes of runbooks (setup instructions for one kind of client), loaded from YAML files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from gtapi.yaml_files import read_yaml

FOLDER = Path(__file__).parent
#: Whether a route works as the client's documentation describes it, or is an extension of this gateway.
VERDICTS = {"native": "native", "gt_extension": "GT extension"}


@dataclass(frozen=True, slots=True)
class RunbookPreset:
    """The preset for a client's keys."""

    slug: str
    label: str


@dataclass(frozen=True, slots=True)
class ClientSetting:
    """A setting of the client: its value and its name in each place where it can be set.

    ``names`` maps a place to the setting's name there: an SDK, an environment variable, a page of the client.
    """

    name: str
    value: str
    names: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class RunbookRoute:
    """A route that the client calls, as ``METHOD /v1/path``, and how it calls it."""

    call: str
    verdict: str = "native"
    how: str = ""


@dataclass(frozen=True, slots=True)
class CodeSnippet:
    """A program or some commands that can be pasted as they are."""

    title: str
    language: str
    code: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Caveat:
    """A limitation or a hint, shown once the routes that it needs are served."""

    text: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """A line of the checklist, and the name of the check that proves it."""

    check: str
    text: str


@dataclass(frozen=True, slots=True)
class Runbook:
    """A runbook. ``{{ base_url }}`` and ``{{ model }}`` in a text stand for a tenant's values."""

    slug: str
    title: str
    verdict: str
    category: str
    preset: RunbookPreset
    summary: str
    settings: tuple[ClientSetting, ...]
    routes: tuple[RunbookRoute, ...]
    steps: tuple[str, ...]
    checklist: tuple[ChecklistItem, ...]
    evidence: str = ""
    documentation: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    prerequisites: tuple[str, ...] = ()
    snippets: tuple[CodeSnippet, ...] = ()
    caveats: tuple[Caveat, ...] = ()

    @property
    def setting_places(self) -> tuple[str, ...]:
        """The places where its settings can be set: columns of the table of settings."""
        return tuple(dict.fromkeys(place for setting in self.settings for place in setting.names))

    @property
    def setting_rows(self) -> list[tuple[ClientSetting, list[str]]]:
        """Each setting with its name in each place, empty where it has none."""
        return [
            (setting, [setting.names.get(place, "") for place in self.setting_places])
            for setting in self.settings
        ]


@cache
def runbooks() -> Mapping[str, Runbook]:
    """Return every runbook by its slug, the name of its file."""
    return {path.stem: _read(path.stem, read_yaml(path)) for path in sorted(FOLDER.glob("*.yaml"))}


def _read(slug: str, data: dict[str, Any]) -> Runbook:
    """Return a runbook. An unknown or missing field raises TypeError, an unknown verdict ValueError."""
    parts = {
        "settings": ClientSetting,
        "routes": RunbookRoute,
        "snippets": CodeSnippet,
        "checklist": ChecklistItem,
    }
    built: dict[str, Any] = {
        **{name: tuple(value) if isinstance(value, list) else value for name, value in data.items()},
        **{name: tuple(kind(**item) for item in data.get(name, ())) for name, kind in parts.items()},
        "preset": RunbookPreset(**data["preset"]),
        "caveats": tuple(
            Caveat(item["text"], tuple(item.get("needs", ()))) for item in data.get("caveats", ())
        ),
    }
    runbook = Runbook(slug=slug, **built)
    for verdict in (runbook.verdict, *(call.verdict for call in runbook.routes)):
        if verdict not in VERDICTS:
            raise ValueError(f"{slug}: unknown verdict {verdict}; use one of {', '.join(VERDICTS)}")
    return runbook
