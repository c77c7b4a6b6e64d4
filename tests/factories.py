"""Rows for tests, committed, so that the running gateway sees them. Every name is unique to its test."""

import hashlib
import itertools
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import Model
from django.utils.text import slugify

from files.models import Chunk, ChunkVector, Dataset, DatasetFile, DatasetGrant, File
from files.models.chunks import vector_text
from inference.models import (
    Agent,
    CatalogEntry,
    Conversation,
    Explanation,
    Grant,
    InferenceTarget,
    Item,
    Provider,
    Turn,
)
from tenants import keys as tenant_keys
from tenants.models import InferenceKey, Tenant
from tenants.scopes import SCOPES, expand

#: A text that the gateway cannot produce otherwise, so that a leak is found.
CREDENTIAL = "sk-credential-of-the-provider"
_run = secrets.token_hex(3)
_numbers = itertools.count(1)


def unique(prefix: str) -> str:
    return f"{prefix}-{_run}-{next(_numbers)}"


def _save(row: Model) -> None:
    """Save a row that its model finds valid. Constraints between rows are checked by the database."""
    relations = {field.name for field in row._meta.fields if field.is_relation}
    row.full_clean(exclude=relations, validate_unique=False, validate_constraints=False)
    row.save()


def tenant(**fields: Any) -> Tenant:
    slug = fields.pop("slug", None) or unique("tenant")
    row = Tenant(slug=slug, name=fields.pop("name", slug.title()), **fields)
    _save(row)
    return row


def provider(of: Tenant, base_url: str, **fields: Any) -> Provider:
    values = {"name": unique("provider"), "kind": "openai_compatible", "api_key": CREDENTIAL, **fields}
    row = Provider(tenant=of, base_url=base_url, **values)
    _save(row)
    return row


def catalog(
    of: Provider, name: str, model: str = "", capabilities: Sequence[str] = ("chat",), **fields: Any
) -> CatalogEntry:
    """A catalog entry; without `model` its raw model id is a new one."""
    row = CatalogEntry(
        tenant=of.tenant,
        provider=of,
        name=name,
        model=model or unique("raw"),
        capabilities=list(capabilities),
        **fields,
    )
    _save(row)
    return row


def agent(over: CatalogEntry, name: str, *, published: bool = True, **fields: Any) -> Agent:
    row = Agent(tenant=over.tenant, name=name, catalog=over, **fields)
    _save(row)
    if published:
        row.publish(by="tests")
    return row


@dataclass
class Key:
    """A key with its plain text, which the database does not have."""

    row: InferenceKey
    plain: str = field(repr=False)


def key(
    of: Tenant,
    allow: Iterable[InferenceTarget] = (),
    scopes: Iterable[str] = tuple(SCOPES),
    *,
    name: str = "",
    expires_at: datetime | None = None,
) -> Key:
    """A key that may do all of `scopes` (by default everything) with each of `allow` (by default nothing)."""
    new = tenant_keys.generate()
    row = InferenceKey(
        tenant=of,
        name=name or unique("key"),
        public_id=new.public_id,
        digest=new.digest,
        scopes=list(scopes),
        expires_at=expires_at,
    )
    _save(row)
    grant(row, *allow)
    return Key(row, new.plain)


def scopes_without(scope: str) -> list[str]:
    """All scopes but one, and those that include it."""
    return [name for name in SCOPES if scope not in expand([name])]


def grant(to: InferenceKey, *targets: InferenceTarget) -> None:
    Grant.objects.bulk_create(Grant(key=to, target_id=target.pk) for target in targets)


def dataset(of: Tenant, name: str = "", *, keys: Iterable[InferenceKey] = (), **fields: Any) -> Dataset:
    """A dataset that `keys` may use."""
    row = Dataset(tenant=of, name=name or unique("dataset"), **fields)
    _save(row)
    DatasetGrant.objects.bulk_create(DatasetGrant(key=key, dataset=row) for key in keys)
    return row


def file(of: Tenant, **fields: Any) -> File:
    """A file's row; its bytes are nowhere."""
    values = {
        "origin": File.Origin.DATASET, "purpose": "assistants", "filename": "notes.txt", "bytes": 5,
        "sha256": secrets.token_hex(32), "path": unique("files/nowhere"), **fields,
    }  # fmt: skip
    return File.objects.create(tenant=of, **values)


def upload(into: Dataset, data: bytes = b"Some words.", **fields: Any) -> DatasetFile:
    """A file that was uploaded into a dataset, bytes and all, and waits to be processed."""
    path = default_storage.save(unique("files/upload"), ContentFile(data))
    digest = hashlib.sha256(data).hexdigest()
    named = {"filename": fields.pop("filename", "notes.txt"), "content_type": fields.pop("content_type", "")}
    held = file(into.tenant, path=path, bytes=len(data), sha256=digest, **named)
    return dataset_file(into, file=held, state=DatasetFile.State.UPLOADED, progress=0, **fields)


def dataset_file(into: Dataset, **fields: Any) -> DatasetFile:
    """A file that is ready in a dataset."""
    held = fields.pop("file", None) or file(into.tenant, filename=fields.pop("filename", "notes.txt"))
    values = {"state": DatasetFile.State.READY, "progress": 100, **fields}
    return DatasetFile.objects.create(tenant=into.tenant, dataset=into, file=held, **values)


def chunk(
    of: DatasetFile, text: str = "A passage.", *, vector: list[float] | None = None, **fields: Any
) -> Chunk:
    """A chunk at the end of a file, with a vector in the generation that its dataset shows."""
    values = {
        "tenant": of.tenant, "dataset": of.dataset, "dataset_file": of,
        "position": of.chunks.count(), "text": text, "tokens": len(text.split()), **fields,
    }  # fmt: skip
    row = Chunk.objects.create(**values)
    if vector is not None:
        ChunkVector.objects.create(
            chunk=row,
            tenant_id=row.tenant_id,
            dataset_id=row.dataset_id,
            generation=of.dataset.generation,
            dimensions=len(vector),
            vector=vector_text(vector),
        )
    return row


def conversation(of: Key, **fields: Any) -> Conversation:
    """A thread of a key's, in which nothing has been said."""
    return Conversation.objects.create(tenant=of.row.tenant, key=of.row, **fields)


def turn(
    of: Conversation, *messages: Any, superseded: Iterable[int] = (), state: str = "complete", **fields: Any
) -> Turn:
    """A turn at the end of a thread; `superseded` are the positions of messages that do not count any more."""
    of.turns += 1
    of.save(update_fields=["turns"])
    values = {"model": "support", "request_id": f"req_{secrets.token_hex(12)}", **fields}
    row = Turn.objects.create(conversation=of, number=of.turns, state=state, **values)
    Item.objects.bulk_create(
        Item(turn=row, position=at, message=message, superseded=at in tuple(superseded))
        for at, message in enumerate(messages)
    )
    return row


def explanation(of: Tenant, **fields: Any) -> Explanation:
    """What was recorded of an answer."""
    values = {
        "request_id": f"req_{secrets.token_hex(12)}", "key_id": 0, "model": "support", "query": "Why?",
        **fields,
    }  # fmt: skip
    return Explanation.objects.create(tenant=of, **values)


@dataclass
class World:
    """One tenant with all that a chat needs: catalog entry `fast`, agent `support` over it, and a key."""

    tenant: Tenant
    provider: Provider
    fast: CatalogEntry
    support: Agent
    key: Key

    @property
    def raw(self) -> str:
        """The raw model id behind both names: what the scripted upstream knows the tenant by."""
        return self.fast.model

    @property
    def authorization(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key.plain}"}


def world(
    base_url: str,
    *,
    agent_fields: dict[str, Any] | None = None,
    capabilities: Sequence[str] = ("chat",),
    **provider_fields: Any,
) -> World:
    """A new tenant over the provider at `base_url`."""
    of = tenant(slug=slugify(unique("tenant")))
    over = provider(of, base_url, **provider_fields)
    fast = catalog(over, "fast", capabilities=capabilities)
    support = agent(fast, "support", **{"instructions": "Answer briefly.", **(agent_fields or {})})
    return World(of, over, fast, support, key(of, [fast, support]))


def guides(over: Iterable[CatalogEntry]) -> list[Agent]:
    """The agents of the SDK's checks of citations, which answer from a handbook, over `whole` and `stream`."""
    entries = {entry.name: entry for entry in over}
    handbook = dataset(entries["whole"].tenant)
    chunk(dataset_file(handbook, filename="handbook.md", chunk_count=1), "Hello is a greeting.")
    made = []
    for name, entry in (("guide", "whole"), ("stream-guide", "stream")):
        guide = agent(entries[entry], name, published=False)
        guide.datasets.add(handbook)
        guide.publish(by="tests")
        made.append(guide)
    return made
