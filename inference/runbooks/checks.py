"""The checks of a runbook's checklist, run from outside: as the client, over HTTP, with its key."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from gtapi.text import pluralize
from inference.models import CatalogEntry, Provider
from inference.runbooks.check_client import CheckClient, CheckFailed
from inference.runbooks.uploads import upload_becomes_ready
from tenants import keys
from tenants.models import InferenceKey, Tenant

SECONDS = 120.0
#: Fields that a model wrote itself, which may say anything.
WRITTEN = {"content", "refusal", "reasoning", "reasoning_content", "arguments"}


def connect(tenant: Tenant, base_url: str, plain: str, model: str = "") -> CheckClient:
    """Return a client with a key of the tenant's.

    Raises:
        CheckFailed: the key is none of the tenant's.
    """
    key = InferenceKey.objects.filter(tenant=tenant, public_id=keys.public_id(plain) or "").first()
    if key is None:
        raise CheckFailed(f"The key in OPENAI_API_KEY is none of the tenant {tenant.slug}.")
    http = httpx.Client(
        base_url=base_url.rstrip("/").removesuffix("/v1"),
        headers={"authorization": f"Bearer {plain}"},
        timeout=SECONDS,
        trust_env=False,
    )
    return CheckClient(http, tenant, key, model)


def models_match(client: CheckClient) -> str:
    """The list of models is the allowlist, on both ways to write the base URL."""
    expected = sorted(client.callable_names())
    for path in ("/v1/models", "/models"):
        try:
            listed = sorted(model["id"] for model in client.call("GET", path).json()["data"])
        except (ValueError, KeyError, TypeError) as error:
            raise CheckFailed(f"GET {path}: no list of models") from error
        if more := sorted(set(listed) - set(expected)):
            raise CheckFailed(f"GET {path} lists what the key may not call: {', '.join(more)}")
        if less := sorted(set(expected) - set(listed)):
            raise CheckFailed(f"GET {path} leaves out what the key may call: {', '.join(less)}")
    return (
        f"{len(expected)} listed: {', '.join(expected)}"
        if expected
        else "nothing is granted, and nothing is listed"
    )


def chat_works(client: CheckClient) -> str:
    """A chat is answered, whole and streamed."""
    names = client.callable_names("/chat/completions")
    model = client.model or (names[0] if names else "")
    if not model:
        raise CheckFailed("the key may chat with nothing")
    body = {"model": model, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 50}
    try:
        answer = client.call("POST", "/v1/chat/completions", json=body).json()
        message, named = answer["choices"][0]["message"], answer["model"]
    except (ValueError, LookupError, TypeError) as error:
        raise CheckFailed(f"{model}: no chat completion") from error
    if named != model:
        raise CheckFailed(f"{model}: the answer names the model {named}")
    streamed = client.call("POST", "/v1/chat/completions", json={**body, "stream": True})
    if not streamed.text.rstrip().endswith("data: [DONE]"):
        raise CheckFailed(f"{model}: the stream has no end")
    said = " ".join((message.get("content") or "").split())
    return f"{model} says: {said[:60]}" if said else f"{model} answers"


def no_raw_names(client: CheckClient) -> str:
    """Nothing that was answered names a provider's model or host."""
    client.send("POST", "/v1/chat/completions", json={"model": "no-such-model", "messages": []})
    secrets = _secrets(client.tenant)
    for response in client.responses:
        for text in _told(response):
            for secret in secrets:
                if re.search(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", text):
                    raise CheckFailed(f"{response.request.method} {response.request.url.path} names {secret}")
    names = pluralize(len(secrets), "name of providers was,names of providers were")
    return f"{names} looked for in {pluralize(len(client.responses), 'answer')}"


#: By the name that a runbook's checklist uses. They run in the order of the checklist and share one client.
CHECKS: Mapping[str, Callable[[CheckClient], str]] = {
    "models": models_match,
    "chat": chat_works,
    "names": no_raw_names,
    "upload": upload_becomes_ready,
}


def _secrets(tenant: Tenant) -> list[str]:
    """Return the providers' own names of a tenant's models, and their hosts, unless the operator publishes them."""
    public = set(tenant.targets.values_list("name", flat=True))
    raw = set(CatalogEntry.objects.filter(tenant=tenant).values_list("model", flat=True))
    hosts = {urlsplit(url).hostname or "" for url in
             Provider.objects.filter(tenant=tenant).values_list("base_url", flat=True)}  # fmt: skip
    return sorted((raw | hosts) - public - {"", "localhost", "127.0.0.1", "::1"})


def _told(response: httpx.Response) -> Iterator[str]:
    """Yield what an answer says besides what the model wrote: its headers, and the texts of its body."""
    yield from (f"{name}: {value}" for name, value in response.headers.items())
    if "text/event-stream" in response.headers.get("content-type", ""):
        parts = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
    else:
        parts = [response.text]
    for part in parts:
        try:
            yield from _texts(json.loads(part))
        except ValueError:
            yield part


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            if name not in WRITTEN:
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
