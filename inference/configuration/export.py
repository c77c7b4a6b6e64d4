"""Exports tenants as a configuration file, without secrets and default values."""

from collections.abc import Iterable
from typing import Any

import yaml
from django.db.models import Prefetch

from files.models import Dataset
from gtapi.json_types import JSON
from inference.configuration.errors import ConfigProblem, ConfigurationError, unknown
from inference.configuration.load import escape
from inference.configuration.settings_io import written_settings
from inference.configuration.specs import KEEP
from inference.models import Agent, CatalogEntry, Provider
from tenants.models import InferenceKey, Tenant
from tenants.scopes import DEFAULT_PRESET, PRESETS


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


def _without_empty(values: JSON) -> JSON:
    return {name: value for name, value in values.items() if value}


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
    settings = written_settings(tenant)
    if tenant.name == tenant.slug:
        settings.pop("name", None)
    return {
        "slug": tenant.slug,
        **settings,
        **_without_empty(
            {
                "providers": [_named(row) for row in Provider.objects.filter(tenant=tenant).order_by("name")],
                "catalog": [_named(row) for row in entries],
                "datasets": [
                    _named(row) for row in Dataset.objects.operators().filter(tenant=tenant).order_by("name")
                ],
                "agents": [_agent(row) for row in agents.order_by("name")],
                "keys": [_key(row) for row in keys],
            }
        ),
    }


def _named(row: Provider | CatalogEntry | Dataset) -> JSON:
    return {"name": row.name, **written_settings(row)}


def _agent(row: Agent) -> JSON:
    published: JSON = {}
    if not row.published:
        published = {"published": False}
    elif row.has_unpublished_changes():
        published = {"published": KEEP}
    return {"alias": row.name, **written_settings(row), **published}


def _key(row: InferenceKey) -> JSON:
    presets = [preset.slug for preset in PRESETS.values() if set(preset.scopes) == set(row.scopes)]
    access: JSON = {"preset": presets[0]} if presets else {"scopes": row.scopes}
    if access == {"preset": DEFAULT_PRESET}:
        access = {}
    grants = {
        "allow": sorted(grant.target.name for grant in row.grants.all()),
        "datasets": sorted(
            grant.dataset.name for grant in row.dataset_grants.all() if not grant.dataset.by_client
        ),
    }
    return {"name": row.name, **access, **_without_empty(grants), **written_settings(row)}
