"""The records of a configuration, and how they are read from plain data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from gtapi.errors import BadRequest
from gtapi.validation import check_metadata
from inference.configuration import load
from inference.configuration.errors import ConfigProblem, ConfigurationError
from inference.configuration.field_reader import FieldReader
from inference.models import PASSAGE_TOKENS, PASSAGES, Capability
from inference.providers import ADAPTERS
from inference.providers.base import Timeouts
from tenants.models import normalise_host
from tenants.scopes import DEFAULT_PRESET, PRESETS, SCOPES

DEFAULT_KIND = "openai_compatible"
DEFAULT_CAPABILITIES: tuple[str, ...] = (Capability.CHAT.value,)
#: The value of an agent's `published` that leaves what clients get as it is.
KEEP = "keep"


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider. None in place of a secret means the stored one."""

    path: str
    name: str
    kind: str
    base_url: str
    api_key: str | None
    headers: Mapping[str, str | None]
    timeouts: Timeouts
    stream_usage: bool


@dataclass(frozen=True, slots=True)
class CatalogSpec:
    path: str
    name: str
    provider: str
    model: str
    capabilities: tuple[str, ...]
    context_window: int | None
    published: bool
    query_prefix: str
    passage_prefix: str
    query_input_type: str
    passage_input_type: str
    unrelated_similarity: float
    related_similarity: float


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    path: str
    name: str
    title: str
    embedding: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """An agent. ``published`` None describes the draft alone and leaves what clients get as it is."""

    path: str
    name: str
    catalog: str
    instructions: str
    datasets: tuple[str, ...]
    parameters: Mapping[str, Any]
    forced: Mapping[str, Any]
    passages: int
    passage_tokens: int
    relevance: float
    unknown_answer: str
    published: bool | None


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A key; ``scopes`` are those of its preset and its own together."""

    path: str
    name: str
    scopes: tuple[str, ...]
    allow: tuple[str, ...]
    datasets: tuple[str, ...]
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class FilesSpec:
    """What becomes of a tenant's files, and how much it may keep; None stands for the installation's limit."""

    path: str
    embedding: str
    transcription: str
    max_file_bytes: int | None
    max_files: int | None
    max_stored_bytes: int | None
    max_dataset_files: int | None
    max_datasets: int | None


@dataclass(frozen=True, slots=True)
class TenantSpec:
    path: str
    slug: str
    name: str
    hosts: tuple[str, ...]
    active: bool
    files: FilesSpec
    record_answers: bool
    providers: tuple[ProviderSpec, ...]
    catalog: tuple[CatalogSpec, ...]
    datasets: tuple[DatasetSpec, ...]
    agents: tuple[AgentSpec, ...]
    keys: tuple[KeySpec, ...]


NamedSpec: TypeAlias = ProviderSpec | CatalogSpec | DatasetSpec | AgentSpec | KeySpec


@dataclass(frozen=True, slots=True)
class Document:
    """All of a file, and all that is wrong with it by itself."""

    tenants: tuple[TenantSpec, ...]
    problems: tuple[ConfigProblem, ...]


def read(text: str, variables: Mapping[str, str]) -> Document:
    """Read the text of a YAML file.

    Args:
        text: the file.
        variables: what ``${NAME}`` stands for, as in ``os.environ``.

    Raises:
        ConfigurationError: it is no YAML. All else that is wrong is in the document's ``problems``.
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
    spec = TenantSpec(
        path=fields.path,
        slug=slug,
        name=fields.text("name", slug),
        hosts=tuple(map(_host, fields.texts("hosts"))),
        active=fields.switch("active", True),
        files=_files(fields.mapping("files")),
        record_answers=fields.switch("record_answers", False),
        providers=tuple(_provider(item) for item in fields.items("providers")),
        catalog=tuple(_catalog(item) for item in fields.items("catalog")),
        datasets=tuple(_dataset(item) for item in fields.items("datasets")),
        agents=tuple(_agent(item) for item in fields.items("agents")),
        keys=tuple(_key(item) for item in fields.items("keys")),
    )
    fields.close()
    return spec


def _host(text: str) -> str:
    """Return a host as it is stored; a whole URL stays one, to be refused."""
    return text if "/" in text else normalise_host(text)


def _files(fields: FieldReader) -> FilesSpec:
    spec = FilesSpec(
        path=fields.path,
        embedding=fields.text("embedding"),
        transcription=fields.text("transcription"),
        max_file_bytes=_limit(fields, "max_file_bytes"),
        max_files=_limit(fields, "max_files"),
        max_stored_bytes=_limit(fields, "max_stored_bytes"),
        max_dataset_files=_limit(fields, "max_dataset_files"),
        max_datasets=_limit(fields, "max_datasets"),
    )
    fields.close()
    return spec


def _limit(fields: FieldReader, name: str) -> int | None:
    """Return a limit, which may be 0; None where there is none."""
    limit = fields.whole(name, 0)
    return limit if fields.has(name) else None


def _provider(fields: FieldReader) -> ProviderSpec:
    spec = ProviderSpec(
        path=fields.path,
        name=fields.name("name"),
        kind=fields.choice("kind", "kind of provider", ADAPTERS, DEFAULT_KIND),
        base_url=fields.text("base_url"),
        api_key=fields.secret("api_key"),
        headers=fields.secrets("headers"),
        timeouts=_timeouts(fields.mapping("timeouts")),
        stream_usage=fields.switch("stream_usage", True),
    )
    fields.close()
    if len({name.lower() for name in spec.headers}) < len(spec.headers):
        fields.note("headers", "one header stands here twice; upper and lower case are the same")
    return spec


def _timeouts(fields: FieldReader) -> Timeouts:
    default = Timeouts()
    timeouts = Timeouts(
        connect=fields.number("connect", default.connect),
        first_byte=fields.number("first_byte", default.first_byte),
        between_chunks=fields.number("between_chunks", default.between_chunks),
        total=fields.number("total", default.total),
    )
    fields.close()
    return timeouts


def _catalog(fields: FieldReader) -> CatalogSpec:
    spec = CatalogSpec(
        path=fields.path,
        name=fields.name("name"),
        provider=fields.text("provider"),
        model=fields.text("model"),
        capabilities=fields.choices("capabilities", "capability", Capability.values)
        if fields.has("capabilities")
        else DEFAULT_CAPABILITIES,
        context_window=int(fields.number("context_window", 0)) or None,
        published=fields.switch("published", True),
        query_prefix=fields.text("query_prefix"),
        passage_prefix=fields.text("passage_prefix"),
        query_input_type=fields.text("query_input_type"),
        passage_input_type=fields.text("passage_input_type"),
        unrelated_similarity=fields.number("unrelated_similarity", 0),
        related_similarity=fields.number("related_similarity", 1),
    )
    fields.close()
    return spec


def _dataset(fields: FieldReader) -> DatasetSpec:
    metadata = fields.json("metadata")
    try:
        check_metadata(metadata)
    except BadRequest as error:
        fields.note("metadata", error.message)
    spec = DatasetSpec(
        fields.path, fields.name("name"), fields.text("title"), fields.text("embedding"), metadata
    )
    fields.close()
    return spec


def _agent(fields: FieldReader) -> AgentSpec:
    spec = AgentSpec(
        path=fields.path,
        name=fields.name("alias"),
        catalog=fields.text("catalog"),
        instructions=fields.text("instructions"),
        datasets=fields.texts("datasets"),
        parameters=fields.json("parameters"),
        forced=fields.json("forced"),
        passages=fields.whole("passages", PASSAGES),
        passage_tokens=fields.whole("passage_tokens", PASSAGE_TOKENS),
        relevance=fields.number("relevance", 0.0),
        unknown_answer=fields.text("unknown_answer"),
        published=_published(fields),
    )
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
    spec = KeySpec(
        path=fields.path,
        name=name,
        scopes=united(preset, fields.choices("scopes", "scope", SCOPES)),
        allow=fields.texts("allow"),
        datasets=fields.texts("datasets"),
        expires_at=fields.moment("expires_at"),
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
