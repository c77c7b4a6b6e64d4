"""Routing: cached snapshots of a tenant's targets (agents, catalog entries) and of a key's grants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from inference.endpoints import Endpoint
from inference.models import PASSAGE_TOKENS, PASSAGES, Agent, CatalogEntry, Grant, Provider
from inference.providers import ADAPTERS
from inference.providers.base import ProviderConnection, Timeouts
from tenants.models import InferenceKey
from tenants.policy_cache import PolicyCache, watch


@dataclass(frozen=True, slots=True)
class EmbeddingMode:
    """How texts of one mode (query or passage) are marked for an embedding model; most models need no mark."""

    prefix: str = ""
    input_type: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The agent or catalog entry behind a model name. ``unavailable`` says why clients cannot call it."""

    id: int
    name: str
    kind: str
    created: int
    capabilities: frozenset[str]
    unavailable: str
    raw_model: str = ""
    connection: ProviderConnection | None = None
    #: The endpoints that the provider's adapter supports.
    operations: frozenset[str] = frozenset()
    context_window: int | None = None
    version: int | None = None
    instructions: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    forced: Mapping[str, Any] = field(default_factory=dict)
    #: The datasets that an agent searches, and how many of their chunks and tokens go into a prompt.
    dataset_ids: tuple[str, ...] = ()
    passages: int = PASSAGES
    passage_tokens: int = PASSAGE_TOKENS
    relevance: float = 0.0
    unknown_answer: str = ""
    query_mode: EmbeddingMode = EmbeddingMode()
    passage_mode: EmbeddingMode = EmbeddingMode()

    def serves(self, endpoint: Endpoint) -> bool:
        """Tell whether both the model and its provider's adapter can serve an endpoint."""
        return endpoint.capability in self.capabilities and endpoint.name in self.operations


def connection_to(provider: Provider) -> ProviderConnection:
    """Return the plain facts of a provider, for its adapter."""
    return ProviderConnection(
        name=provider.name,
        kind=provider.kind,
        base_url=provider.base_url.rstrip("/"),
        api_key=provider.api_key,
        headers={name.lower(): value for name, value in provider.headers.items()},
        timeouts=Timeouts(
            connect=provider.connect_timeout,
            first_byte=provider.first_byte_timeout,
            between_chunks=provider.between_chunks_timeout,
            total=provider.total_timeout,
        ),
        stream_usage=provider.stream_usage,
    )


def _operations(provider: Provider) -> frozenset[str]:
    adapter = ADAPTERS.get(provider.kind)
    return adapter.operations if adapter else frozenset()


def _agent_operations(provider: Provider) -> frozenset[str]:
    """Return the endpoints of an agent; both call the provider's chat endpoint."""
    return frozenset({"chat", "completions"}) if "chat" in _operations(provider) else frozenset()


def entry_target(entry: CatalogEntry) -> Target:
    """Return the target of a catalog entry."""
    return Target(
        id=entry.pk,
        name=entry.name,
        kind="catalog",
        created=int(entry.created_at.timestamp()),
        capabilities=frozenset(entry.capabilities),
        unavailable="" if entry.published else "the catalog entry is not published",
        raw_model=entry.model,
        context_window=entry.context_window,
        connection=connection_to(entry.provider),
        operations=_operations(entry.provider),
        query_mode=EmbeddingMode(entry.query_prefix, entry.query_input_type),
        passage_mode=EmbeddingMode(entry.passage_prefix, entry.passage_input_type),
    )


def _agent_target(agent: Agent) -> Target:
    version = agent.live
    created = int(agent.created_at.timestamp())
    if version is None or version.catalog is None:
        missing = "the agent is not published" if version is None else "the agent's catalog entry was deleted"
        return Target(agent.pk, agent.name, "agent", created, frozenset({"chat"}), missing)
    return Target(
        id=agent.pk,
        name=agent.name,
        kind="agent",
        created=created,
        capabilities=frozenset({"chat"}),
        unavailable="",
        raw_model=version.catalog.model,
        context_window=version.catalog.context_window,
        connection=connection_to(version.catalog.provider),
        operations=_agent_operations(version.catalog.provider),
        version=version.number,
        instructions=version.instructions,
        parameters=version.parameters,
        forced=version.forced,
        dataset_ids=tuple(version.dataset_ids),
        passages=version.passages,
        passage_tokens=version.passage_tokens,
        relevance=version.relevance,
        unknown_answer=version.unknown_answer,
    )


def load_targets(tenant_id: int) -> tuple[int, dict[str, Target]]:
    """Read all of a tenant's targets by name; the loader of ``known_targets``."""
    entries = CatalogEntry.objects.filter(tenant=tenant_id).select_related("provider")
    agents: QuerySet[Agent] = Agent.objects.filter(tenant=tenant_id).select_related("live__catalog__provider")
    targets = [*map(entry_target, entries), *map(_agent_target, agents)]
    return tenant_id, {target.name: target for target in sorted(targets, key=lambda target: target.name)}


def load_grants(key_id: int) -> tuple[int | None, frozenset[int]]:
    """Read the ids of the targets that are granted to a key; the loader of ``known_grants``."""
    tenant_id = InferenceKey.objects.filter(pk=key_id).values_list("tenant_id", flat=True).first()
    return tenant_id, frozenset(Grant.objects.filter(key=key_id).values_list("target_id", flat=True))


known_targets: PolicyCache[int, dict[str, Target]] = PolicyCache(watch, load_targets, size=10_000)
known_grants: PolicyCache[int, frozenset[int]] = PolicyCache(watch, load_grants)
