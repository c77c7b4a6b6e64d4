"""Writes what the database holds in the shape that ``applying`` takes, without secrets and without defaults."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import yaml
from django.db.models import Prefetch

from files.models import Dataset
from inference.configuration.errors import ConfigProblem, ConfigurationError, unknown
from inference.configuration.load import escape
from inference.configuration.specs import DEFAULT_CAPABILITIES, DEFAULT_KIND, KEEP
from inference.models import PASSAGE_TOKENS, PASSAGES, Agent, CatalogEntry, Provider
from inference.providers.base import Timeouts
from tenants.models import InferenceKey, Tenant
from tenants.scopes import DEFAULT_PRESET, PRESETS

JSON = dict[str, Any]


def export(slugs: Iterable[str] = ()) -> JSON:
    """Return the configuration of these tenants, or of all of them.

    Raises:
        ConfigurationError: there is no such tenant.
    """
    chosen = list(dict.fromkeys(slugs))
    tenants = Tenant.objects.all()
    known = set(tenants.values_list("slug", flat=True)) if chosen else set()
    if missing := [slug for slug in chosen if slug not in known]:
        raise ConfigurationError([ConfigProblem("", unknown("tenant", slug, known)) for slug in missing])
    if chosen:
        tenants = tenants.filter(slug__in=chosen)
    return {"tenants": [_tenant(tenant) for tenant in tenants.order_by("slug")]}


def dump(configuration: JSON) -> str:
    """Return a configuration as the text of a YAML file."""
    return yaml.dump(
        _escaped(configuration), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
    )


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, text: str) -> yaml.ScalarNode:
        """Write text of several lines as such, and text that YAML would alter in double quotes."""
        style = None
        if not text.replace("\n", "").isprintable():
            style = '"'
        elif "\n" in text:
            style = '"' if text[0] in " \n" else "|"
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _Dumper.text)


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _escaped(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return escape(value) if isinstance(value, str) else value


def _without_defaults(values: JSON, defaults: JSON) -> JSON:
    return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}


def _tenant(tenant: Tenant) -> JSON:
    agents = (
        Agent.objects.filter(tenant=tenant)
        .select_related("catalog", "live")
        .prefetch_related(Prefetch("datasets", Dataset.objects.operators().order_by("name")))
    )
    keys = (
        InferenceKey.objects.filter(tenant=tenant, revoked_at=None)
        .order_by("name")
        .prefetch_related("grants__target", "dataset_grants__dataset")
    )
    entries = CatalogEntry.objects.filter(tenant=tenant).select_related("provider").order_by("name")
    return _without_defaults(
        {
            "slug": tenant.slug,
            "name": tenant.name,
            "hosts": tenant.hosts,
            "active": tenant.active,
            "files": _files(tenant),
            "record_answers": tenant.record_answers,
            "providers": [_provider(row) for row in Provider.objects.filter(tenant=tenant).order_by("name")],
            "catalog": [_entry(row) for row in entries],
            "datasets": [
                _dataset(row) for row in Dataset.objects.operators().filter(tenant=tenant).order_by("name")
            ],
            "agents": [_agent(row) for row in agents.order_by("name")],
            "keys": [_key(row) for row in keys],
        },
        {
            "name": tenant.slug,
            "hosts": [],
            "active": True,
            "files": {},
            "record_answers": False,
            "providers": [],
            "catalog": [],
            "datasets": [],
            "agents": [],
            "keys": [],
        },
    )


def _files(tenant: Tenant) -> JSON:
    return _without_defaults(
        {
            "embedding": tenant.embedding,
            "transcription": tenant.transcription,
            "max_file_bytes": tenant.max_file_bytes,
            "max_files": tenant.max_files,
            "max_stored_bytes": tenant.max_stored_bytes,
            "max_dataset_files": tenant.max_dataset_files,
            "max_datasets": tenant.max_datasets,
        },
        {
            "embedding": "",
            "transcription": "",
            "max_file_bytes": None,
            "max_files": None,
            "max_stored_bytes": None,
            "max_dataset_files": None,
            "max_datasets": None,
        },
    )


def _provider(row: Provider) -> JSON:
    default = Timeouts()
    return _without_defaults(
        {
            "name": row.name,
            "kind": row.kind,
            "base_url": row.base_url,
            "headers": dict.fromkeys(row.headers),
            "timeouts": {
                name: int(seconds) if seconds.is_integer() else seconds
                for name, seconds, usual in (
                    ("connect", row.connect_timeout, default.connect),
                    ("first_byte", row.first_byte_timeout, default.first_byte),
                    ("between_chunks", row.between_chunks_timeout, default.between_chunks),
                    ("total", row.total_timeout, default.total),
                )
                if seconds != usual
            },
            "stream_usage": row.stream_usage,
        },
        {"kind": DEFAULT_KIND, "base_url": "", "headers": {}, "timeouts": {}, "stream_usage": True},
    )


def _entry(row: CatalogEntry) -> JSON:
    return _without_defaults(
        {
            "name": row.name,
            "provider": row.provider.name,
            "model": row.model,
            "capabilities": row.capabilities,
            "context_window": row.context_window,
            "published": row.published,
            **{name: getattr(row, name) for name in CatalogEntry.EMBEDDING},
        },
        {
            "capabilities": list(DEFAULT_CAPABILITIES),
            "context_window": None,
            "published": True,
            **{name: getattr(CatalogEntry(), name) for name in CatalogEntry.EMBEDDING},
        },
    )


def _dataset(row: Dataset) -> JSON:
    return _without_defaults(
        {"name": row.name, "title": row.title, "embedding": row.embedding, "metadata": row.metadata},
        {"title": "", "embedding": "", "metadata": {}},
    )


def _agent(row: Agent) -> JSON:
    published: bool | str = False
    if row.published:
        published = KEEP if row.has_unpublished_changes() else True
    return _without_defaults(
        {
            "alias": row.name,
            "catalog": row.catalog.name,
            "instructions": row.instructions,
            "datasets": [dataset.name for dataset in row.datasets.all()],
            "parameters": row.parameters,
            "forced": row.forced,
            "passages": row.passages,
            "passage_tokens": row.passage_tokens,
            "relevance": int(row.relevance) if row.relevance.is_integer() else row.relevance,
            "unknown_answer": row.unknown_answer,
            "published": published,
        },
        {
            "instructions": "",
            "datasets": [],
            "parameters": {},
            "forced": {},
            "passages": PASSAGES,
            "passage_tokens": PASSAGE_TOKENS,
            "relevance": 0,
            "unknown_answer": "",
            "published": True,
        },
    )


def _key(row: InferenceKey) -> JSON:
    presets = [preset.slug for preset in PRESETS.values() if set(preset.scopes) == set(row.scopes)]
    may = {"preset": presets[0]} if presets else {"scopes": row.scopes}
    return _without_defaults(
        {
            "name": row.name,
            **may,
            "allow": sorted(grant.target.name for grant in row.grants.all()),
            "datasets": sorted(
                grant.dataset.name for grant in row.dataset_grants.all() if not grant.dataset.by_client
            ),
            "expires_at": _iso(row.expires_at),
        },
        {"preset": DEFAULT_PRESET, "allow": [], "datasets": [], "expires_at": None},
    )


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
