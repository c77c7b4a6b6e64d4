"""The demo tenant: created once, and never changed after an operator edited it."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth import get_user_model

from files.models import Dataset, File
from files.uploads.store import FileUpload, IncomingFile, store_upload
from inference.configuration import apply, load
from inference.configuration.specs import Document, parse
from inference.models import Agent, CatalogEntry, Provider
from inference.models.providers import DEFAULT_KIND
from inference.providers import ADAPTERS
from inference.providers.base import ProviderConnection, Timeouts
from local_models import MODELS, available
from tenants.models import Tenant

FILE = Path(__file__).with_name("demo.yaml")
#: What is in the demo's dataset.
HANDBOOK = Path(__file__).with_name("handbook.md")
DATASET = "handbook"
SLUG = "demo"
KEY = "demo"
#: What the demo tenant's provider is called where it is the models of this machine, and where it is not.
LOCAL = "local"
REMOTE = "provider"
#: Capability -> parts of the ids of models that have it. What has none of these, nor those below, may chat.
_PARTS = {
    "embed": ("embed", "e5"),
    "transcribe": ("whisper", "transcribe"),
    "speech": ("tts",),
    "image": ("image", "dall-e"),
    "moderate": ("moderation",),
    "rerank": ("rerank",),
}
_NO_CHAT = ("audio", *(part for parts in _PARTS.values() for part in parts))


@dataclass(frozen=True, slots=True)
class Models:
    """Where the demo's models are, and their ids by capability."""

    provider: str
    base_url: str
    ids: Mapping[str, str]
    api_key: str = field(default="", repr=False)


def local_models(base_url: str) -> Models:
    """Return the models of this machine, whose ids are known before they answer."""
    ids = {capability: model for capability, model in MODELS.items() if available(capability)}
    return Models(LOCAL, base_url.rstrip("/"), ids)


def remote_models(base_url: str, api_key: str, chat: str = "") -> tuple[Models | None, str]:
    """Ask a provider for its models and choose: ``chat`` where it is given, else the first that may chat.

    Returns:
        the models, None where there is none to chat with; and a sentence on what the provider said.
    """
    base_url = base_url.rstrip("/")
    connection = ProviderConnection(REMOTE, DEFAULT_KIND, base_url, api_key, {}, Timeouts())
    found = ADAPTERS[DEFAULT_KIND].check_connection(connection)
    chat = chat or next((model for model in found.models if not _has(model, _NO_CHAT)), "")
    if not chat:
        return None, found.message
    chosen = {name: next((m for m in found.models if _has(m, parts)), "") for name, parts in _PARTS.items()}
    ids = {"chat": chat, **{capability: model for capability, model in chosen.items() if model}}
    return Models(REMOTE, base_url, ids, api_key), found.message


def _has(model: str, parts: Iterable[str]) -> bool:
    return any(part in model.lower() for part in parts)


def is_wanted() -> bool:
    """Tell whether models would make a difference: the tenant is missing, or was made without and not touched.

    It is untouched if creating it again without models would change nothing.
    """
    if not Tenant.objects.filter(slug=SLUG).exists():
        return True
    return not apply.apply(_document(None), prune=True, dry_run=True).changes


def make(models: Models | None) -> str | None:
    """Make the tenant where it is missing, or complete one that was made without models; see ``is_wanted``.

    Returns:
        its key where it was made now.
    """
    if not is_wanted():
        return None
    result = apply.apply(_document(models), by="demo")
    _fill()
    return next((key.plain for key in result.new_keys), None)


def follow_local_models(base_url: str) -> bool:
    """Point the demo's provider to where the local models are now; tells whether that was needed.

    A provider that an operator changed is left alone.
    """
    base_url = base_url.rstrip("/")
    provider = Provider.objects.filter(tenant__slug=SLUG, name=LOCAL).exclude(base_url=base_url).first()
    if provider is None or not _is_local(provider):
        return False
    provider.base_url = base_url
    provider.save(update_fields=["base_url"])
    return True


def uses(base_url: str) -> bool:
    """Tell whether the demo tenant has a provider at this address."""
    return Provider.objects.filter(tenant__slug=SLUG, base_url=base_url.rstrip("/")).exists()


def names() -> list[str]:
    """Return the names that the demo key may call and that are published, agents first."""
    granted = {"tenant__slug": SLUG, "grants__key__name": KEY, "grants__key__revoked_at": None}
    agents = Agent.objects.filter(**granted).exclude(live=None).order_by("name")
    entries = CatalogEntry.objects.filter(**granted, published=True).order_by("name")
    return [*agents.values_list("name", flat=True), *entries.values_list("name", flat=True)]


def make_administrator() -> dict[str, str]:
    """Make a superuser where there is none; returns the name and the password, or nothing."""
    users: Any = get_user_model()._default_manager  # noqa: SLF001 - Django documents it
    if users.filter(is_superuser=True).exists():
        return {}
    name, number = "admin", 1
    while users.filter(username=name).exists():
        number += 1
        name = f"admin-{number}"
    password = secrets.token_urlsafe(12)
    users.create_superuser(username=name, password=password)
    return {"admin_username": name, "admin_password": password}


def _fill() -> None:
    """Put the handbook into its dataset, where it is processed like any upload."""
    dataset = Dataset.objects.get(tenant__slug=SLUG, name=DATASET)
    with TemporaryDirectory() as folder:
        # What is kept is moved away from where it came.
        path = Path(copy(HANDBOOK, folder))
        incoming = IncomingFile(path, HANDBOOK.name, "text/markdown", path.stat().st_size)
        store_upload(FileUpload(dataset.tenant_id, None, File.Origin.DATASET, incoming, dataset=dataset))


def _is_local(provider: Provider) -> bool:
    host = urlsplit(provider.base_url).hostname or ""
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    serves_ours = provider.catalog.filter(model__in=MODELS.values()).exists()
    return is_loopback and serves_ours and not provider.api_key


def _document(models: Models | None) -> Document:
    """Return the file's document, without what needs a model that is not there."""
    data = load.load(FILE.read_text())
    (tenant,) = data["tenants"]
    ids = models.ids if models else {}
    variables = {f"{capability.upper()}_MODEL": ids.get(capability, "") for capability in MODELS}
    # Ours is told which side of a search a text is on; another one may refuse the field.
    ours = models is not None and models.ids.get("embed") == MODELS["embed"]
    variables |= {"QUERY_TYPE": "query" if ours else "", "PASSAGE_TYPE": "passage" if ours else ""}
    # As benchmarks/retrieval measures them. What answers a question is above the last, other passages mostly below.
    variables |= {"UNRELATED": "0.74" if ours else "0", "RELATED": "0.89" if ours else "1"}
    variables["RELEVANCE"] = "0.4" if ours else "0"
    if models is None:
        tenant["providers"] = []
    else:
        variables |= {
            "PROVIDER": models.provider,
            "BASE_URL": models.base_url,
            "API_KEY": models.api_key,
        }
        if not models.api_key:
            del tenant["providers"][0]["api_key"]
    tenant["catalog"] = [entry for entry in tenant["catalog"] if variables[entry["model"].strip("${}")]]
    entries = {entry["name"] for entry in tenant["catalog"]}
    for uses in (tenant["files"], *tenant["datasets"]):
        for use in ("embedding", "transcription"):
            if uses.get(use) not in entries:
                uses.pop(use, None)
    tenant["agents"] = [agent for agent in tenant["agents"] if agent["catalog"] in entries]
    kept = entries | {agent["alias"] for agent in tenant["agents"]}
    for key in tenant["keys"]:
        key["allow"] = [name for name in key["allow"] if name in kept]
    return parse(data, variables)
