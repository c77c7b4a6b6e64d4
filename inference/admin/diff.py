"""Line-by-line differences between two versions of an agent."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.text import capfirst

from files.models import Dataset
from gtapi.model_settings import by_section
from inference.models import Agent, AgentVersion, CatalogEntry
from inference.models.agents import DATA

#: Unchanged lines that are shown around a change.
CONTEXT = 2


@dataclass(frozen=True, slots=True)
class ContentText:
    """An agent's content as text, by field."""

    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a difference; ``kind`` is added, removed, same or gap."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """What changed in one field."""

    field: str
    lines: list[DiffLine]


class Names:
    """The names of catalog entries and datasets, read once for a page."""

    def __init__(self, tenant_id: int) -> None:
        entries = CatalogEntry.objects.filter(tenant=tenant_id).values_list("pk", "name")
        self.entries: dict[int | None, str] = {None: "(deleted)", **dict(entries)}
        self.datasets = dict(Dataset.objects.filter(tenant=tenant_id).values_list("pk", "name"))

    def of_version(self, version: AgentVersion) -> ContentText:
        return self._content(version, version.dataset_ids)

    def of_draft(self, agent: Agent) -> ContentText:
        return self._content(agent, [dataset.pk for dataset in agent.datasets.all()])

    def _content(self, source: Any, dataset_ids: list[str]) -> ContentText:
        datasets = sorted(self.datasets.get(pk, f"{pk} (deleted)") for pk in dataset_ids)
        order = list(by_section(Agent.SETTINGS))
        texts: dict[str, str] = {}
        for setting in sorted(Agent.SETTINGS, key=lambda setting: order.index(setting.section)):
            field = setting.field_of(Agent)
            if field.name == "catalog":
                text = self.entries.get(source.catalog_id, "(deleted)")
            elif field.name == "datasets":
                text = "\n".join(datasets)
            else:
                # Without datasets, defaults of the settings about them say nothing.
                text = _text(source, field, hide_default=setting.section == DATA and not datasets)
            texts[capfirst(field.verbose_name)] = text
        return ContentText(texts)


def _text(source: Any, field: Any, *, hide_default: bool) -> str:
    value = getattr(source, field.name)
    if hide_default and value == field.get_default():
        return ""
    match value:
        case dict() | list():
            return _json(value)
        case bool():
            return "Yes" if value else "No"
        case int() | float():
            return f"{value:.10g}"
    return str(value or "")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) if value else ""


def differences(old: ContentText | None, new: ContentText) -> list[FieldDiff]:
    """Return the fields that differ; with nothing to compare to, the fields that are not empty."""
    found = []
    for field, text in new.fields.items():
        before = old.fields[field] if old else ""
        if before != text:
            found.append(FieldDiff(field, _lines(before.splitlines(), text.splitlines())))
    return found


def _lines(old: list[str], new: list[str]) -> list[DiffLine]:
    lines: list[DiffLine] = []
    for group in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_grouped_opcodes(CONTEXT):
        if lines:
            lines.append(DiffLine("gap", "⋯"))
        for tag, old_start, old_end, new_start, new_end in group:
            if tag == "equal":
                lines.extend(DiffLine("same", text) for text in old[old_start:old_end])
            else:
                lines.extend(DiffLine("removed", text) for text in old[old_start:old_end])
                lines.extend(DiffLine("added", text) for text in new[new_start:new_end])
    return lines
