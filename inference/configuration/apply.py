"""Makes the database equal to a configuration."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction
from psycopg.errors import ForeignKeyViolation, UniqueViolation

from files.models import Dataset
from files.uploads import deletion
from gtapi.model_settings import file_names
from inference.configuration import references
from inference.configuration.errors import ConfigProblem, ConfigurationError
from inference.configuration.grants import grant
from inference.configuration.specs import (
    AgentSpec,
    CatalogSpec,
    DatasetSpec,
    Document,
    KeySpec,
    NamedSpec,
    ProviderSpec,
    TenantSpec,
)
from inference.configuration.upsert import problems_of, store
from inference.models import Agent, CatalogEntry, Provider
from tenants.models import InferenceKey, Tenant

#: The advisory lock that serializes `apply`.
LOCK = 7310142605
#: How often a configuration is tried if concurrent changes interfere.
ATTEMPTS = 3
AnySpec = TypeVar("AnySpec", bound=NamedSpec)


@dataclass(frozen=True, slots=True)
class Change:
    """One line of what was done: ``+``, ``~`` or ``-``, what kind of thing, its name, and what about it."""

    sign: str
    kind: str
    name: str
    fields: Sequence[str] = ()
    note: str = ""

    def __str__(self) -> str:
        line = f"{self.sign} {self.kind} {self.name}"
        if self.fields:
            line += f": {', '.join(self.fields)}"
        return f"{line} ({self.note})" if self.note else line


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key with its plain text, which is available only now."""

    name: str
    plain: str = field(repr=False)


@dataclass
class ApplyResult:
    """The changes that were made, or in a dry run would be made."""

    changes: list[Change] = field(default_factory=list)
    new_keys: list[IssuedKey] = field(default_factory=list)


def apply(
    document: Document, *, prune: bool = False, yes: bool = False, dry_run: bool = False, by: str = "apply"
) -> ApplyResult:
    """Make the database equal to a document, in one transaction and one after another.

    If a name is taken or a row deleted in the meantime, the whole transaction is repeated.

    Args:
        document: what ``document.read`` returned.
        prune: within the tenants that the document names, delete what it does not name.
        yes: prune datasets, too.
        dry_run: do nothing for good.
        by: who publishes the agents' versions.

    Raises:
        ConfigurationError: something is wrong with the document; nothing is changed.
    """
    attempt = 1
    while True:
        try:
            return _apply_once(document, prune=prune, yes=yes, dry_run=dry_run, by=by)
        except DatabaseError as error:
            if attempt == ATTEMPTS or not _lost_race(error):
                raise
        attempt += 1


def _lost_race(error: DatabaseError) -> bool:
    """Tell whether a row was there before ours, or is gone: the latter Django finds where it saves named fields."""
    cause = error.__cause__
    return cause is None or isinstance(cause, UniqueViolation | ForeignKeyViolation)


def _apply_once(document: Document, *, prune: bool, yes: bool, dry_run: bool, by: str) -> ApplyResult:
    problems = list(document.problems)
    result = ApplyResult()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        for spec in document.tenants:
            problems += references.check(spec, references.stored(spec.slug), prune=prune)
        for spec in document.tenants:
            _TenantUpdate(spec, result, problems, prune=prune, yes=yes, dry_run=dry_run, by=by).apply()
        if problems:
            raise ConfigurationError(list(dict.fromkeys(problems)))
        if dry_run:
            transaction.set_rollback(True)
    return result


class _TenantUpdate:
    """The work on one tenant. A record that something is wrong with is left out, so that the rest is checked."""

    def __init__(
        self,
        spec: TenantSpec,
        result: ApplyResult,
        problems: list[ConfigProblem],
        *,
        prune: bool,
        yes: bool,
        dry_run: bool,
        by: str,
    ) -> None:
        self.spec = spec
        self.result = result
        self.problems = problems
        self.prune = prune
        self.yes = yes
        self.dry_run = dry_run
        self.by = by

    def apply(self) -> None:
        """Do the work; what is deleted goes before what takes its name, and after what refers to it."""
        if not self._tenant():
            return
        self._load()
        if self.prune:
            self._prune_keys()
            self._prune_agents()
        self._each(self._provider, self.spec.providers)
        self._each(self._entry, self.spec.catalog)
        self._each(self._dataset, self.spec.datasets)
        self._each(self._agent, [spec for spec in self.spec.agents if spec.name in self.agents])
        if self.prune and not self.problems:
            self._prune_catalog()
        self._each(self._agent, [spec for spec in self.spec.agents if spec.name not in self.agents])
        self._each(self._key, self.spec.keys)
        if self.prune:
            self._prune_datasets()
        if self.prune and not self.problems:
            self._prune_providers()

    def _tenant(self) -> bool:
        """Have the tenant's own row; tells whether it is there."""
        path = self.spec.path
        fields = {"slug", *(setting.name.partition(".")[0] for setting in Tenant.SETTINGS)}
        if any(self._is_own(problem, fields) for problem in self.problems):
            return False
        self.tenant = Tenant.objects.filter(slug=self.spec.slug).first() or Tenant(slug=self.spec.slug)
        return self._store("tenant", self.tenant, self.spec.values, path)

    def _is_own(self, problem: ConfigProblem, fields: set[str]) -> bool:
        """Tell whether a problem is of the tenant's own fields rather than of what belongs to it."""
        path = self.spec.path
        if problem.path == path:
            return True
        inside = problem.path.removeprefix(f"{path}.")
        return inside != problem.path and re.split(r"[.\[]", inside, maxsplit=1)[0] in fields

    def _load(self) -> None:
        tenant = self.tenant
        self.providers = {row.name: row for row in Provider.objects.filter(tenant=tenant)}
        self.catalog = {
            row.name: row for row in CatalogEntry.objects.filter(tenant=tenant).select_related("provider")
        }
        self.datasets = {row.name: row for row in Dataset.objects.operators().filter(tenant=tenant)}
        self.agents = {
            row.name: row
            for row in Agent.objects.filter(tenant=tenant)
            .select_related("catalog", "live")
            .prefetch_related("datasets")
        }
        self.keys = {row.name: row for row in InferenceKey.objects.filter(tenant=tenant, revoked_at=None)}

    def _each(self, work: Callable[[AnySpec], None], specs: Iterable[AnySpec]) -> None:
        for spec in specs:
            if self._sound(spec):
                work(spec)

    def _sound(self, spec: NamedSpec) -> bool:
        inside = (f"{spec.path}.", f"{spec.path}[")
        return not any(p.path == spec.path or p.path.startswith(inside) for p in self.problems)

    def _note(self, sign: str, kind: str, name: str, fields: Sequence[str] = (), note: str = "") -> None:
        full = self.spec.slug if kind == "tenant" else f"{self.spec.slug}/{name}"
        self.result.changes.append(Change(sign, kind, full, fields, note))

    def _store(
        self,
        kind: str,
        row: Tenant | Provider | CatalogEntry | Dataset,
        values: Mapping[str, Any],
        path: str,
    ) -> bool:
        """Store a row and note its change; tells whether it is in the database now."""
        is_new = row.pk is None or row._state.adding  # noqa: SLF001 - Django documents it
        changed, problems = store(row, values, path, file_names(row.SETTINGS))
        self.problems += problems
        if not problems and (is_new or changed):
            name = row.slug if isinstance(row, Tenant) else row.name
            self._note("+" if is_new else "~", kind, name, changed)
        return not problems

    def _provider(self, spec: ProviderSpec) -> None:
        row = self.providers.get(spec.name) or Provider(tenant=self.tenant, name=spec.name)
        values = dict(spec.values)
        if values["api_key"] is None:
            values["api_key"] = row.api_key
        stored = {name.lower(): value for name, value in row.headers.items()}
        values["headers"] = {
            name: stored.get(name.lower()) if value is None else value
            for name, value in values["headers"].items()
        }
        for name, value in values["headers"].items():
            if value is None:
                message = "no value is stored for this header; write its value"
                self.problems.append(ConfigProblem(f"{spec.path}.headers.{name}", message))
                values["headers"][name] = ""
        if self._store("provider", row, values, spec.path):
            self.providers[spec.name] = row

    def _entry(self, spec: CatalogSpec) -> None:
        if (provider := self.providers.get(spec.provider)) is None:
            return  # its own record is wrong, which has been noted
        row = self.catalog.get(spec.name) or CatalogEntry(tenant=self.tenant, name=spec.name)
        if self._store("catalog", row, {"provider": provider, **spec.values}, spec.path):
            self.catalog[spec.name] = row

    def _dataset(self, spec: DatasetSpec) -> None:
        row = self.datasets.get(spec.name) or Dataset(tenant=self.tenant, name=spec.name)
        other = row.embedding != spec.values["embedding"]
        if self._store("dataset", row, spec.values, spec.path):
            if other:
                # The new index is not booked to the key that chose the previous embedding.
                Dataset.objects.filter(pk=row.pk).update(embedding_requested_by=None)
            self.datasets[spec.name] = row

    def _agent(self, spec: AgentSpec) -> None:
        entry = self.catalog.get(spec.catalog)
        if entry is None or spec.name in self.catalog or not self.datasets.keys() >= set(spec.datasets):
            return  # their own records are wrong, which has been noted
        row = self.agents.get(spec.name) or Agent(tenant=self.tenant, name=spec.name)
        is_new = row.pk is None
        names = {"name": "alias", **file_names(Agent.SETTINGS)}
        changed, problems = store(row, {"catalog": entry, **spec.values}, spec.path, names)
        if problems:
            self.problems += problems
            return
        datasets = {self.datasets[name].pk for name in spec.datasets}
        by_clients = [dataset for dataset in row.datasets.all() if dataset.by_client]
        if {dataset.pk for dataset in row.datasets.all() if not dataset.by_client} != datasets:
            # Datasets made by clients are not part of the file: those that an operator gave to the agent stay.
            row.datasets.set([*(self.datasets[name] for name in spec.datasets), *by_clients])
            changed.append("datasets")
        note = self._publish(row, spec.published)
        if is_new:
            self._note("+", "agent", spec.name)
        elif changed or note:
            self._note("~", "agent", spec.name, changed or ["published"], note)
        self.agents[spec.name] = row

    def _publish(self, row: Agent, wanted: bool | None) -> str:
        """Publish or unpublish an agent as it is wanted; returns what that did."""
        before = row.live_id
        if wanted:
            version = row.publish(by=self.by)
            return f"version {version.number}" if version.pk != before else ""
        if wanted is False and row.unpublish():
            return "unpublished"
        return ""

    def _key(self, spec: KeySpec) -> None:
        changed: list[str] = []
        row = self.keys.get(spec.name)
        if row is None:
            try:
                scopes, values = spec.values["scopes"], dict(spec.values)
                del values["scopes"]
                row, plain = InferenceKey.objects.issue(self.tenant, spec.name, scopes, **values)
            except ValidationError as error:
                self.problems += problems_of(error, spec.path, {})
                return
            self.result.new_keys.append(IssuedKey(f"{self.spec.slug}/{spec.name}", plain))
            self._note("+", "key", spec.name)
        else:
            changed, problems = store(row, spec.values, spec.path, file_names(InferenceKey.SETTINGS))
            self.problems += problems
        targets = {**self.catalog, **self.agents}
        changed += grant(
            row,
            targets={targets[name].pk for name in spec.allow if name in targets},
            datasets={self.datasets[name].pk for name in spec.datasets if name in self.datasets},
        )
        if spec.name in self.keys and changed:
            self._note("~", "key", spec.name, changed)

    def _prune_keys(self) -> None:
        named = {spec.name for spec in self.spec.keys}
        for name in sorted(self.keys.keys() - named):
            self.keys.pop(name).revoke()
            self._note("-", "key", name, note="revoked")

    def _prune_agents(self) -> None:
        for name in sorted(self.agents.keys() - set(map(attrgetter("name"), self.spec.agents))):
            self.agents.pop(name).delete()
            self._note("-", "agent", name)

    def _prune_catalog(self) -> None:
        for name in sorted(self.catalog.keys() - set(map(attrgetter("name"), self.spec.catalog))):
            self.catalog.pop(name).delete()
            self._note("-", "catalog", name)

    def _prune_datasets(self) -> None:
        for name in sorted(self.datasets.keys() - set(map(attrgetter("name"), self.spec.datasets))):
            if not self.yes and not self.dry_run:
                self.problems.append(
                    ConfigProblem(
                        f"{self.spec.path}.datasets",
                        f"the dataset '{name}' would be deleted with all its files; add --yes to confirm",
                    )
                )
                continue
            deletion.delete_dataset(self.datasets.pop(name))
            self._note("-", "dataset", name, note="" if self.yes else "needs --yes")

    def _prune_providers(self) -> None:
        for name in sorted(self.providers.keys() - set(map(attrgetter("name"), self.spec.providers))):
            self.providers.pop(name).delete()
            self._note("-", "provider", name)
