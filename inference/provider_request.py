"""The request for the provider: the client's parameters and its agent's, without those that route."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from gtapi.crypto import unseal
from gtapi.json_types import JSON
from gtapi.validation import invalid
from gtapi.web.multipart import MultipartForm
from inference.providers.base import Form, Upload
from inference.routing import Target

FILE_EXTENSION = re.compile(r"[A-Za-z0-9]{1,10}")
MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}/[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
#: Parameters by which some servers let a request choose its model, address or credential. The operator chooses
#: those, so they are never passed on.
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
#: Parameters that mean the same: a forced value, or the client's own, overrides all names of its group.
_SYNONYMS = (
    _LIMITS,
    {"tools", "functions"},
    {"tool_choice", "function_call"},
)
_GROUPS: Mapping[str, frozenset[str]] = {name: frozenset(group) for group in _SYNONYMS for name in group}


def json_request(target: Target, body: JSON) -> JSON:
    """Return the client's parameters for the provider's model, without nulls and routing fields."""
    if any(name != name.casefold() for name in body):
        body = _without_other_spellings(target, body)
    request = {
        name: value for name, value in body.items() if value is not None and name not in ROUTING_FIELDS
    }
    request["model"] = target.raw_model
    return request


def _without_other_spellings(target: Target, body: JSON) -> JSON:
    """Return the body without other spellings of the parameters that are decided here.

    Servers written in Go read ``Model``, and even ``max_to\N{KELVIN SIGN}ens``, as the name in lower case.
    """
    decided = {"model", "messages", "stream", "stream_options", *ROUTING_FIELDS, *_GROUPS}
    decided |= body.keys() | target.parameters.keys() | target.forced.keys()
    return {
        name: value
        for name, value in body.items()
        if (folded := name.casefold()) == name or folded not in decided
    }


def chat_request(target: Target, chat: JSON) -> JSON:
    """Return a chat for the provider, with the agent's parameters: its forced ones, the client's, its defaults.

    The messages are the client's; ``inference.chat.enrich`` fills in those that are sent.
    """
    request = json_request(target, chat)
    for name, value in target.parameters.items():
        if not (_GROUPS.get(name, frozenset((name,))) & request.keys()):
            request[name] = value
    for name, value in target.forced.items():
        for synonym in _GROUPS.get(name, ()):
            request.pop(synonym, None)
        request[name] = value
    return request


def answer_limit(request: JSON) -> int | None:
    """Return how many tokens the response to a chat may have; None where the request does not limit them.

    Of several parameters that do, the largest counts, since a server may obey any of them.
    """
    limits = [request[name] for name in _LIMITS & request.keys()]
    return max((limit for limit in limits if type(limit) is int and limit > 0), default=None)


def restore_audio_ids(messages: Sequence[JSON], tenant_id: int) -> list[JSON]:
    """Return the messages with the provider's ids of earlier audio responses in place of ours.

    Raises:
        BadRequest: an id is not one that was issued to this tenant.
    """
    if not any("audio" in message for message in messages):
        return list(messages)
    restored = []
    for index, message in enumerate(messages):
        audio = message.get("audio")
        if isinstance(audio, dict) and isinstance(audio.get("id"), str):
            provider_id = unseal("audio_", audio["id"], str(tenant_id))
            if provider_id is None:
                raise invalid(f"messages[{index}].audio.id", "there is no such audio")
            message = {**message, "audio": {"id": provider_id}}  # noqa: PLW2901 - a copy, the client's own stays
        restored.append(message)
    return restored


def form_request(target: Target, form: MultipartForm, **changes: str | None) -> Form:
    """Return the client's form for the provider's model, with ``changes``; None leaves a field out."""
    changed = {"model": target.raw_model, **changes}
    fields = [(name, value) for name, value in changed.items() if value is not None]
    fields += [(name, value) for name, value in form.fields if _is_passed_on(name, changed)]
    files = [
        anonymous_upload(file.field, file.filename, file.content_type, file.path)
        for file in form.files
        if _is_passed_on(file.field, changed)
    ]
    return Form(fields, files)


def _is_passed_on(name: str, changed: Collection[str]) -> bool:
    base = name.partition("[")[0].casefold()
    return base not in ROUTING_FIELDS and base not in changed


def anonymous_upload(field: str, filename: str, content_type: str, path: Path) -> Upload:
    """Return a file for a provider, under a name that keeps only the extension: by it providers tell the format.

    The client's name for a file may say more than the provider needs to know.
    """
    extension = filename.rpartition(".")[2]
    is_extension = FILE_EXTENSION.fullmatch(extension) and extension != filename
    name = f"file.{extension}" if is_extension else "file"
    media_type = content_type if MEDIA_TYPE.fullmatch(content_type) else "application/octet-stream"
    return Upload(field, name, media_type, path)
