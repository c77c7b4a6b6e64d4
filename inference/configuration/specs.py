"""Parses a configuration file into specs of tenants and everything that belongs to them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from files.models import Dataset
from gtapi.errors import BadRequest
from gtapi.validation import check_metadata
from inference.configuration import load
from inference.configuration.errors import ConfigProblem, ConfigurationError
from inference.configuration.field_reader import FieldReader
from inference.configuration.settings_io import read_settings
from inference.models import Agent, CatalogEntry, Provider
from tenants.models import InferenceKey, Tenant, normalise_host
from tenants.scopes import DEFAULT_PRESET, PRESETS, SCOPES

#: The value of an agent's `published` that leaves the live version as it is.
KEEP = "keep"


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider. A secret that is None leaves the stored one as it is."""

    path: str
    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CatalogSpec:
    """A catalog entry, and the name of its provider."""

    path: str
    name: str
    provider: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """A dataset."""

    path: str
    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """An agent, with the names that it mentions. ``published`` None changes the draft only."""

    path: str
    name: str
    catalog: str
    datasets: tuple[str, ...]
    published: bool | None
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A key, with the scopes of its preset and its own scopes together."""

    path: str
    name: str
    allow: tuple[str, ...]
    datasets: tuple[str, ...]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TenantSpec:
    """A tenant and everything that belongs to it."""

    path: str
    slug: str
    values: Mapping[str, Any]
    providers: tuple[ProviderSpec, ...]
    catalog: tuple[CatalogSpec, ...]
    datasets: tuple[DatasetSpec, ...]
    agents: tuple[AgentSpec, ...]
    keys: tuple[KeySpec, ...]


NamedSpec: TypeAlias = ProviderSpec | CatalogSpec | DatasetSpec | AgentSpec | KeySpec


@dataclass(frozen=True, slots=True)
class Document:
    """The contents of a file, and the problems found without looking at the database."""

    tenants: tuple[TenantSpec, ...]
    problems: tuple[ConfigProblem, ...]


def read(text: str, variables: Mapping[str, str]) -> Document:
    """Read the text of a YAML file.

    Args:
        text: the file.
        variables: what ``${NAME}`` stands for, as in ``os.environ``.

    Raises:
        ConfigurationError: it is not YAML. All other problems are in ``Document.problems``.
    """
    data = load.load(text)
    if data is None:
        raise ConfigurationError([ConfigProblem("", "The file is empty; it has to begin with `tenants:`.")])
    return parse(data, variables)


def parse(data: Any, variables: Mapping[str, str]) -> Document:
    """Read plain data in the shape of a file; see ``read``."""
    problems: list[ConfigProblem] = []
    data = load.expand(data, variables, "", problems)
    if not isinstance(data, dict):
        raise ConfigurationError(
            [ConfigProblem("", "The file has to be a mapping that begins with `tenants:`.")]
        )
    fields = FieldReader(data, "", problems)
    tenants = tuple(_tenant(item) for item in fields.items("tenants"))
    fields.close()
    if not data:
        problems.append(ConfigProblem("tenants", "this field is missing"))
    problems.extend(_doubles(tenants))
    return Document(tenants, tuple(problems))


def _tenant(fields: FieldReader) -> TenantSpec:
    slug = fields.name("slug")
    values = read_settings(fields, Tenant)
    values["name"] = values["name"] or slug
    values["hosts"] = list(map(_host, values["hosts"]))
    spec = TenantSpec(
        path=fields.path,
        slug=slug,
        values=values,
        providers=tuple(_provider(item) for item in fields.items("providers")),
        catalog=tuple(_catalog(item) for item in fields.items("catalog")),
        datasets=tuple(_dataset(item) for item in fields.items("datasets")),
        agents=tuple(_agent(item) for item in fields.items("agents")),
        keys=tuple(_key(item) for item in fields.items("keys")),
    )
    fields.close()
    return spec


def _host(text: str) -> str:
    """Return a host as it is stored. A URL stays as it is: validation then refuses it."""
    return text if "/" in text else normalise_host(text)


def _provider(fields: FieldReader) -> ProviderSpec:
    spec = ProviderSpec(fields.path, fields.name("name"), read_settings(fields, Provider))
    fields.close()
    headers = spec.values["headers"]
    if len({name.lower() for name in headers}) < len(headers):
        fields.note("headers", "the same header is listed twice; upper and lower case make no difference")
    return spec


def _catalog(fields: FieldReader) -> CatalogSpec:
    name = fields.name("name")
    values = read_settings(fields, CatalogEntry)
    values["context_window"] = values["context_window"] or None
    spec = CatalogSpec(fields.path, name, values.pop("provider"), values)
    fields.close()
    return spec


def _dataset(fields: FieldReader) -> DatasetSpec:
    spec = DatasetSpec(fields.path, fields.name("name"), read_settings(fields, Dataset))
    try:
        check_metadata(spec.values["metadata"])
    except BadRequest as error:
        fields.note("metadata", error.message)
    fields.close()
    return spec


def _agent(fields: FieldReader) -> AgentSpec:
    name = fields.name("alias")
    values = read_settings(fields, Agent)
    catalog, datasets = values.pop("catalog"), values.pop("datasets")
    spec = AgentSpec(fields.path, name, catalog, datasets, _published(fields), values)
    fields.close()
    return spec


def _published(fields: FieldReader) -> bool | None:
    if fields.is_text("published", KEEP):
        return None
    return fields.switch("published", True)


def _key(fields: FieldReader) -> KeySpec:
    name = fields.name("name")
    chosen = fields.has("preset") or fields.has("scopes")
    preset = fields.choice("preset", "preset", PRESETS, "" if chosen else DEFAULT_PRESET)
    scopes = united(preset, fields.choices("scopes", "scope", SCOPES))
    spec = KeySpec(
        path=fields.path,
        name=name,
        allow=fields.texts("allow"),
        datasets=fields.texts("datasets"),
        values={"scopes": list(scopes), **read_settings(fields, InferenceKey)},
    )
    fields.close()
    return spec


def united(preset: str, scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the scopes of a preset, which may be empty, and these, in the order of the scopes' own table."""
    chosen = {*scopes, *(PRESETS[preset].scopes if preset in PRESETS else ())}
    return tuple(scope for scope in SCOPES if scope in chosen)


def _doubles(tenants: tuple[TenantSpec, ...]) -> Iterator[ConfigProblem]:
    """Yield a problem for each name that two records have, agents and catalog entries being of one space."""
    yield from _doubles_of((f"{tenant.path}.slug", tenant.slug) for tenant in tenants)
    for tenant in tenants:
        for specs in (tenant.providers, tenant.datasets, tenant.keys):
            yield from _doubles_of((f"{spec.path}.name", spec.name) for spec in specs)
        targets = [(f"{spec.path}.name", spec.name) for spec in tenant.catalog]
        targets += [(f"{spec.path}.alias", spec.name) for spec in tenant.agents]
        yield from _doubles_of(iter(targets))


def _doubles_of(named: Iterator[tuple[str, str]]) -> Iterator[ConfigProblem]:
    first: dict[str, str] = {}
    for path, name in named:
        if name and name in first:
            yield ConfigProblem(path, f"the name '{name}' is taken by {first[name]}")
        first.setdefault(name, path)
