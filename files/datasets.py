"""What is done with datasets as wholes: made, changed, counted."""

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
from files.uploads import quotas
from files.uploads.quotas import Quotas
from gtapi.errors import Conflict
from gtapi.validation import invalid
from tenants.models import Tenant

JSON = dict[str, Any]
State = DatasetFile.State
MAX_NAME = 100
MAX_TITLE = 256
#: How often another name is tried where somebody else has just taken the one that was free.
_ATTEMPTS = 5
#: Characters of a name that is derived, before what tells it from others.
_DERIVED = 80


class NameTaken(Conflict):
    """Raised for a name that another dataset of the tenant has; asking again would not help."""

    code = "name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Another dataset is called '{name}'.", param="name", headers={"x-should-retry": "false"}
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """How many files a dataset holds in each state, and their bytes."""

    states: dict[str, int]
    bytes: int

    @property
    def total(self) -> int:
        return sum(self.states.values())

    def of(self, *states: str) -> int:
        return sum(self.states.get(state, 0) for state in states)


NOTHING = Counts({}, 0)


def counts(dataset_ids: Iterable[str]) -> dict[str, Counts]:
    """Return what is in datasets, by their ids; one that is empty is missing."""
    rows = (
        DatasetFile.objects.live()
        .filter(dataset__in=list(dataset_ids))
        .order_by()
        .values_list("dataset_id", "state")
        .annotate(Count("pk"), Sum("file__bytes"))
    )
    found: dict[str, tuple[dict[str, int], int]] = {}
    for dataset_id, state, number, size in rows:
        states, total = found.get(dataset_id, ({}, 0))
        found[dataset_id] = ({**states, state: number}, total + size)
    return {dataset_id: Counts(*counted) for dataset_id, counted in found.items()}


def count(dataset: Dataset) -> Counts:
    """Return what is in one dataset."""
    return counts([dataset.pk]).get(dataset.pk, NOTHING)


def fits(name: str) -> bool:
    """Tell whether agents and grants could call a dataset by that name."""
    fit = len(name) <= MAX_NAME and re.fullmatch(NAME.regex, name) is not None
    return fit and not name.startswith(RESERVED)


def create(
    tenant_id: int,
    key_id: int,
    *,
    wanted: str = "",
    title: str = "",
    embedding: str | None = None,
    metadata: JSON | None = None,
    expires_after: timedelta | None = None,
) -> Dataset:
    """Make a dataset and grant it to the key that makes it.

    ``wanted`` becomes its name where that is fit and free. Else a name is derived from it, and ``wanted`` becomes
    the title, unless there is one. ``embedding`` None stands for the tenant's. To be called in a transaction.

    Raises:
        PermissionDenied: the tenant has too many datasets.
        NameTaken: others took every name that was tried.
    """
    quotas.lock_tenant(tenant_id)
    Quotas.of(tenant_id).check_datasets(tenant_id)
    if embedding is None:
        embedding = Tenant.objects.values_list("embedding", flat=True).get(pk=tenant_id)
    base = wanted if fits(wanted) else _derived(wanted)
    name = base if base != "dataset" or wanted else _another(base)
    for attempt in range(_ATTEMPTS):
        if attempt or Dataset.objects.filter(tenant=tenant_id, name=name).exists():
            name = _another(base)
        dataset = Dataset(
            tenant_id=tenant_id,
            name=name,
            title=title or (wanted if wanted != name else ""),
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


def _derived(wanted: str) -> str:
    name = slugify(wanted)[:_DERIVED].strip("-_") or "dataset"
    return f"dataset-{name}" if name.startswith(RESERVED) else name


def _another(base: str) -> str:
    return f"{base[:_DERIVED]}-{secrets.token_hex(3)}"


def change(dataset: Dataset, key_id: int, **fields: Any) -> Dataset:
    """Store fields that a key changes of a dataset; where its embedding is another one, it is indexed anew.

    It is active by that, and one that has expired is so again where ``expires_after`` is changed, and only then.

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
    """Refuse a name by which a key could use a model that it may not call.

    A key may choose what it could call by itself, and what the tenant's datasets have anyway. The catalog is of an
    app above this one: it is reached by name, as the dataset itself does.
    """
    tenant = Tenant.objects.get(pk=tenant_id)
    if name in ("", tenant.embedding):
        return
    callable_by = Q(catalogentry__published=True, grants__key=key_id)
    can_embed = tenant.targets.filter(callable_by, catalogentry__capabilities__contains=["embed"])
    if not can_embed.filter(name=name).exists():
        raise invalid("embedding", "no model that can embed and that you have access to is called that")
