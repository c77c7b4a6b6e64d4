"""Operations on whole datasets: create, update, count their files, and check their embedding."""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Q, Sum
from django.utils import timezone
from django.utils.text import slugify

from files.ingestion.wakeup import wake
from files.models import Dataset, DatasetFile, DatasetGrant
from files.models.datasets import NAME, RESERVED
from files.uploads.quotas import Quotas, lock_tenant
from gtapi.errors import Conflict
from gtapi.json_types import JSON
from gtapi.validation import invalid
from tenants.models import Tenant

MAX_NAME = 100
MAX_TITLE = 256
#: How many names are tried if another transaction takes a free name.
_ATTEMPTS = 5
#: Characters of a derived name, before its random suffix.
_MAX_DERIVED = 80


class NameTaken(Conflict):
    """The name belongs to another dataset of the tenant; retrying does not help."""

    code = "name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Another dataset is called '{name}'.", param="name", headers={"x-should-retry": "false"}
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of files of a dataset in each state, and their total bytes."""

    states: dict[str, int]
    bytes: int

    @property
    def total(self) -> int:
        return sum(self.states.values())

    def of(self, *states: str) -> int:
        return sum(self.states.get(state, 0) for state in states)


NOTHING = Counts({}, 0)


def counts(dataset_ids: Iterable[str]) -> dict[str, Counts]:
    """Return the counts of datasets by their ids; empty datasets are missing."""
    rows = (
        DatasetFile.objects.live()
        .filter(dataset__in=list(dataset_ids))
        .order_by()
        .values_list("dataset_id", "state")
        .annotate(Count("pk"), Sum("file__bytes"))
    )
    totals: dict[str, tuple[dict[str, int], int]] = {}
    for dataset_id, state, number, size in rows:
        states, total = totals.get(dataset_id, ({}, 0))
        totals[dataset_id] = ({**states, state: number}, total + size)
    return {dataset_id: Counts(*total) for dataset_id, total in totals.items()}


def count(dataset: Dataset) -> Counts:
    """Return the counts of one dataset."""
    return counts([dataset.pk]).get(dataset.pk, NOTHING)


def is_valid_name(name: str) -> bool:
    """Return whether agents and grants can refer to a dataset by this name."""
    matches = len(name) <= MAX_NAME and re.fullmatch(NAME.regex, name) is not None
    return matches and not name.startswith(RESERVED)


def create(
    tenant_id: int,
    key_id: int,
    *,
    requested_name: str = "",
    title: str = "",
    embedding: str | None = None,
    metadata: JSON | None = None,
    expires_after: timedelta | None = None,
) -> Dataset:
    """Create a dataset and grant it to the key that creates it. Call it in a transaction.

    ``requested_name`` becomes its name if it is valid and free. Otherwise a name is derived from it, and it becomes
    the title, unless ``title`` is given. ``embedding`` None means the tenant's default.

    Raises:
        PermissionDenied: the tenant's limit of datasets is reached.
        NameTaken: other transactions took every name that was tried.
    """
    lock_tenant(tenant_id)
    Quotas.of(tenant_id).check_datasets(tenant_id)
    if embedding is None:
        embedding = Tenant.objects.values_list("embedding", flat=True).get(pk=tenant_id)
    base = requested_name if is_valid_name(requested_name) else _derive_name(requested_name)
    name = base if base != "dataset" or requested_name else _with_suffix(base)
    for attempt in range(_ATTEMPTS):
        if attempt or Dataset.objects.filter(tenant=tenant_id, name=name).exists():
            name = _with_suffix(base)
        dataset = Dataset(
            tenant_id=tenant_id,
            name=name,
            title=title or (requested_name if requested_name != name else ""),
            embedding=embedding,
            embedding_requested_by_id=key_id,
            metadata=metadata or {},
            by_client=True,
            expires_after=expires_after,
        )
        try:
            with transaction.atomic():
                dataset.save(force_insert=True)
                DatasetGrant.objects.create(key_id=key_id, dataset=dataset)
        except IntegrityError:
            if not Dataset.objects.filter(tenant=tenant_id, name=name).exists():
                raise
        else:
            return dataset
    raise NameTaken(name)


def _derive_name(text: str) -> str:
    name = slugify(text)[:_MAX_DERIVED].strip("-_") or "dataset"
    return f"dataset-{name}" if name.startswith(RESERVED) else name


def _with_suffix(base: str) -> str:
    return f"{base[:_MAX_DERIVED]}-{secrets.token_hex(3)}"


def change(dataset: Dataset, key_id: int, **fields: Any) -> Dataset:
    """Store the changes that a key makes to a dataset, and index it again if its embedding changes.

    This counts as activity, except for an expired dataset: only a change of ``expires_after`` revives it.

    Raises:
        NameTaken: another dataset of the tenant has the new name.
    """
    if fields.get("embedding", dataset.embedding) != dataset.embedding:
        fields["embedding_requested_by_id"] = key_id
    if not dataset.expired or "expires_after" in fields:
        fields["last_active_at"] = timezone.now()
    for name, value in fields.items():
        setattr(dataset, name, value)
    if fields:
        try:
            with transaction.atomic():
                dataset.save(update_fields=list(fields))
        except IntegrityError:
            raise NameTaken(dataset.name) from None
    if dataset.embedding != dataset.indexed_embedding:
        wake()
    return dataset


def check_embedding(tenant_id: int, key_id: int, name: str) -> None:
    """Refuse an embedding model that the key may not call; the tenant's default is always allowed.

    The catalog belongs to an app above this one, so it is reached by name, as in ``Dataset.embedding``.
    """
    tenant = Tenant.objects.get(pk=tenant_id)
    if name in ("", tenant.embedding):
        return
    allowed = Q(catalogentry__published=True, grants__key=key_id)
    can_embed = tenant.targets.filter(allowed, catalogentry__capabilities__contains=["embed"])
    if not can_embed.filter(name=name).exists():
        raise invalid("embedding", "there is no embedding model of that name that you have access to")
