"""What changed between two versions of an agent, line by line."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from files.models import Dataset
from inference.models import PASSAGE_TOKENS, PASSAGES, Agent, AgentVersion, CatalogEntry

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
        return ContentText(
            {
                "Catalog entry": self.entries.get(source.catalog_id, "(deleted)"),
                "Instructions": source.instructions,
                "Parameters": _json(source.parameters),
                "Forced parameters": _json(source.forced),
                "Datasets": "\n".join(datasets),
                "Passages": _number(source.passages, PASSAGES, datasets),
                "Tokens of passages": _number(source.passage_tokens, PASSAGE_TOKENS, datasets),
                "Least relevance": _number(source.relevance, 0, datasets),
                "Answer when nothing is found": source.unknown_answer,
            }
        )


def _number(value: float, default: float, datasets: list[str]) -> str:
    """Return a number; nothing where an agent without data has what all have."""
    return f"{value:.10g}" if datasets or value != default else ""


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
