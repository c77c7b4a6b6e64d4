"""Validates the names by which parts of a configuration refer to each other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from files.models import Dataset
from inference.configuration.errors import ConfigProblem, unknown
from inference.configuration.specs import TenantSpec
from inference.models import Agent, Capability, CatalogEntry, Provider

#: A client can take a name before a file does; its dataset is not treated as the operator's.
BY_A_CLIENT = "a client made a dataset of this name; rename it, or take it over in the admin"


@dataclass(frozen=True)
class Stored:
    """What a tenant has in the database: names, and of catalog entries what they can do."""

    providers: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    by_clients: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()
    catalog: Mapping[str, frozenset[str]] = field(default_factory=dict)


def stored(slug: str) -> Stored:
    """Read the names that a tenant has; none if the tenant does not exist."""
    return Stored(
        providers=frozenset(Provider.objects.filter(tenant__slug=slug).values_list("name", flat=True)),
        datasets=frozenset(
            Dataset.objects.operators().filter(tenant__slug=slug).values_list("name", flat=True)
        ),
        by_clients=frozenset(
            Dataset.objects.visible().filter(tenant__slug=slug, by_client=True).values_list("name", flat=True)
        ),
        agents=frozenset(Agent.objects.filter(tenant__slug=slug).values_list("name", flat=True)),
        catalog={
            name: frozenset(capabilities)
            for name, capabilities in CatalogEntry.objects.filter(tenant__slug=slug).values_list(
                "name", "capabilities"
            )
        },
    )


def check(tenant: TenantSpec, before: Stored, *, prune: bool) -> Iterator[ConfigProblem]:
    """Yield what is wrong with the names that a tenant's records mention.

    Args:
        tenant: the records.
        before: what the tenant has.
        prune: whether that is deleted where the file does not name it, so that nothing may refer to it.
    """
    kept = Stored() if prune else before
    if not prune:
        yield from _switched(tenant, before)
    providers = {spec.name for spec in tenant.providers} | kept.providers
    datasets = {spec.name for spec in tenant.datasets} | kept.datasets
    catalog = {
        **kept.catalog,
        **{spec.name: frozenset(spec.values["capabilities"]) for spec in tenant.catalog},
    }
    targets = {*catalog, *kept.agents, *(spec.name for spec in tenant.agents)}

    for entry in tenant.catalog:
        yield from _mentioned(f"{entry.path}.provider", "provider", entry.provider, providers)
    yield from _files(tenant, catalog)
    yield from _datasets(tenant, catalog, before)
    for agent in tenant.agents:
        yield from _capable(f"{agent.path}.catalog", agent.catalog, catalog, Capability.CHAT, "chat")
        for index, name in enumerate(agent.datasets):
            yield from _dataset(f"{agent.path}.datasets[{index}]", name, datasets, before)
    for key in tenant.keys:
        for index, name in enumerate(key.allow):
            yield from _mentioned(f"{key.path}.allow[{index}]", "agent or catalog entry", name, targets)
        for index, name in enumerate(key.datasets):
            yield from _dataset(f"{key.path}.datasets[{index}]", name, datasets, before)


def _files(tenant: TenantSpec, catalog: Mapping[str, frozenset[str]]) -> Iterator[ConfigProblem]:
    for name, capability in (("embedding", Capability.EMBED), ("transcription", Capability.TRANSCRIBE)):
        if entry := tenant.values[name]:
            yield from _capable(f"{tenant.path}.files.{name}", entry, catalog, capability, capability.value)


def _datasets(
    tenant: TenantSpec, catalog: Mapping[str, frozenset[str]], before: Stored
) -> Iterator[ConfigProblem]:
    for dataset in tenant.datasets:
        if dataset.name in before.by_clients:
            yield ConfigProblem(f"{dataset.path}.name", BY_A_CLIENT)
        if embedding := dataset.values["embedding"]:
            path = f"{dataset.path}.embedding"
            yield from _capable(path, embedding, catalog, Capability.EMBED, "embed")


def _dataset(path: str, name: str, options: set[str], before: Stored) -> Iterator[ConfigProblem]:
    if name in before.by_clients - options:
        yield ConfigProblem(path, BY_A_CLIENT)
    else:
        yield from _mentioned(path, "dataset", name, options)


def _mentioned(path: str, kind: str, name: str, options: set[str]) -> Iterator[ConfigProblem]:
    if not name:
        yield ConfigProblem(path, f"this field is missing: the name of a {kind}")
    elif name not in options:
        yield ConfigProblem(path, unknown(kind, name, options))


def _capable(
    path: str, name: str, catalog: Mapping[str, frozenset[str]], capability: Capability, verb: str
) -> Iterator[ConfigProblem]:
    if not name or name not in catalog:
        yield from _mentioned(path, "catalog entry", name, set(catalog))
    elif capability not in catalog[name]:
        yield ConfigProblem(path, f"the catalog entry '{name}' cannot {verb}")


def _switched(tenant: TenantSpec, before: Stored) -> Iterator[ConfigProblem]:
    advice = "--prune replaces it, or choose another name"
    for entry in tenant.catalog:
        if entry.name in before.agents:
            yield ConfigProblem(f"{entry.path}.name", f"there is an agent '{entry.name}'; {advice}")
    for agent in tenant.agents:
        if agent.name in before.catalog:
            yield ConfigProblem(f"{agent.path}.alias", f"there is a catalog entry '{agent.name}'; {advice}")
