"""From what a client sent to what the provider gets: the agent's part, and nothing that routes."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gtapi.crypto import unseal
from gtapi.validation import invalid
from inference import tokens
from inference.providers.base import Upload
from inference.routing import Target

JSON = dict[str, Any]

ENDING = re.compile(r"[A-Za-z0-9]{1,10}")
MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}/[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
#: Fields by which some servers let a request choose its model, address or credential. Those are the operator's
#: to choose, so they never pass.
ROUTING_FIELDS = frozenset(
    {
        "adapter_id",
        "api_base",
        "api_key",
        "api_version",
        "base_url",
        "content_policy_fallbacks",
        "context_window_fallbacks",
        "custom_llm_provider",
        "deployment_id",
        "extra_body",
        "extra_headers",
        "fallbacks",
        "headers",
        "lora",
        "model_list",
        "models",
        "organization",
        "plugins",
        "preset",
        "provider",
        "route",
        "transforms",
        "user_config",
    }
)
_LIMITS = {"max_tokens", "max_completion_tokens", "max_new_tokens", "max_output_tokens", "n_predict"}
#: Names for one thing: a forced value, or the client's own, stands against all names of its group.
_SAME = (
    _LIMITS,
    {"tools", "functions"},
    {"tool_choice", "function_call"},
)
_GROUPS: Mapping[str, frozenset[str]] = {name: frozenset(group) for group in _SAME for name in group}


def upstream_body(target: Target, body: JSON) -> JSON:
    """Return what a client sent, for the provider's model, without nulls and routing fields."""
    if any(name != name.casefold() for name in body):
        body = _spelled_once(target, body)
    sent = {name: value for name, value in body.items() if value is not None and name not in ROUTING_FIELDS}
    sent["model"] = target.raw_model
    return sent


def _spelled_once(target: Target, body: JSON) -> JSON:
    """Return the body without other spellings of what is decided here.

    Servers written in Go read ``Model``, and even ``max_to\N{KELVIN SIGN}ens``, as the name in small letters.
    """
    decided = {"model", "messages", "stream", "stream_options", *ROUTING_FIELDS, *_GROUPS}
    decided |= body.keys() | target.parameters.keys() | target.forced.keys()
    return {
        name: value
        for name, value in body.items()
        if (folded := name.casefold()) == name or folded not in decided
    }


def upstream_chat(target: Target, body: JSON, tenant_id: int) -> JSON:
    """Return the body of a chat for the provider.

    Args:
        target: the agent or catalog entry.
        body: the client's body, checked.
        tenant_id: whose it is; ids that were hidden for one tenant open for no other.

    Raises:
        BadRequest: the body refers to an audio answer that is none of ours.
    """
    sent = _with_parameters(target, body)
    messages = _with_own_audio(sent["messages"], tenant_id)
    if target.instructions:
        messages = [{"role": "system", "content": target.instructions}, *messages]
    sent["messages"] = messages
    return sent


def answer_limit(target: Target, body: JSON) -> int | None:
    """Return how many tokens an answer may have by what the provider is sent; None where nothing says so.

    Of several names that say it the largest counts, since a server may obey any of them.
    """
    sent = _with_parameters(target, body)
    limits = [sent[name] for name in _LIMITS & sent.keys()]
    return max((limit for limit in limits if type(limit) is int and limit > 0), default=None)


def tool_definitions(target: Target, body: JSON) -> str:
    """Return the tools that the provider is sent, the client's or the agent's, as a text that takes room."""
    return tokens.definitions(_with_parameters(target, body))


def _with_parameters(target: Target, body: JSON) -> JSON:
    """Return the body for the provider with an agent's parameters: forced ones, the client's, and defaults."""
    sent = upstream_body(target, body)
    for name, value in target.parameters.items():
        if not (_GROUPS.get(name, frozenset((name,))) & sent.keys()):
            sent[name] = value
    for name, value in target.forced.items():
        for other in _GROUPS.get(name, ()):
            sent.pop(other, None)
        sent[name] = value
    return sent


def _with_own_audio(messages: list[JSON], tenant_id: int) -> list[JSON]:
    """Return the messages with the provider's ids of earlier audio answers in place of ours."""
    if not any("audio" in message for message in messages):
        return messages
    opened = []
    for index, message in enumerate(messages):
        audio = message.get("audio")
        if isinstance(audio, dict) and isinstance(audio.get("id"), str):
            known = unseal("audio_", audio["id"], str(tenant_id))
            if known is None:
                raise invalid(f"messages[{index}].audio.id", "there is no such audio")
            message = {**message, "audio": {"id": known}}  # noqa: PLW2901 - a copy, the client's own stays
        opened.append(message)
    return opened


def unnamed_upload(field: str, filename: str, content_type: str, path: Path) -> Upload:
    """Return a file for a provider, which gets the name's ending alone: by it providers tell the format.

    The client's own name for a file may say more than the provider needs to know.
    """
    ending = filename.rpartition(".")[2]
    named = f"file.{ending}" if ENDING.fullmatch(ending) and ending != filename else "file"
    media_type = content_type if MEDIA_TYPE.fullmatch(content_type) else "application/octet-stream"
    return Upload(field, named, media_type, path)
