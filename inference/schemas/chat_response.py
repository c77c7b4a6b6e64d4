"""Builders for the parts of a chat response, from an allow-list of fields.

Only what the model wrote is forwarded. Ids are re-issued, enumerations are mapped to OpenAI's values, numbers are
validated, and unknown fields are left out.
"""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from django.conf import settings

from gtapi.crypto import seal
from gtapi.json_types import JSON

FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "function_call",
    # Values of other servers.
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "max_length": "length",
    "model_length": "length",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "safety": "content_filter",
    "recitation": "content_filter",
    "refusal": "content_filter",
}
SERVICE_TIERS = {
    "auto": "auto",
    "default": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "fast",
    "standard": "default",
    "on_demand": "default",
}
#: No request has as many tokens, and what is written from it fits into the database.
MAX_COUNT = 2**40
_PROMPT_DETAILS = ("cached_tokens", "audio_tokens")
_COMPLETION_DETAILS = (
    "reasoning_tokens",
    "audio_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
)


def finish_reason(value: Any, *, called_tools: bool = False) -> str:
    """Map the provider's finish reason to one of OpenAI's."""
    known = FINISH_REASONS.get(value.lower()) if isinstance(value, str) else None
    if known is not None:
        return known
    return "tool_calls" if called_tools else "stop"


def call_id(upstream_id: Any) -> str:
    """Return our id for a tool call: the same one each time, since clients send both halves back."""
    digest = hmac.digest(settings.KEY_PEPPERS[-1].encode(), b"call:" + str(upstream_id).encode(), sha256)
    return "call_" + digest.hex()[:24]


def text(value: Any) -> str | None:
    """Return what the model wrote: a string, or the joined text of the parts that some servers return."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, list):
        parts = [part.get("text") for part in value if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return None


def service_tier(value: Any) -> str | None:
    """Return one of OpenAI's service tiers, or None for other values."""
    return SERVICE_TIERS.get(value) if isinstance(value, str) else None


def count(value: Any) -> int:
    """Return a token count; 0 for invalid values."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < MAX_COUNT:
        return int(value)
    return 0


def usage(reported: Any) -> JSON | None:
    """Return the usage that a provider reported, or None where it reported none."""
    if not isinstance(reported, dict) or not isinstance(reported.get("prompt_tokens"), int):
        return None
    prompt, completion = count(reported["prompt_tokens"]), count(reported.get("completion_tokens"))
    built: JSON = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": count(reported.get("total_tokens")) or prompt + completion,
    }
    for name, fields in (
        ("prompt_tokens_details", _PROMPT_DETAILS),
        ("completion_tokens_details", _COMPLETION_DETAILS),
    ):
        details = reported.get(name)
        if isinstance(details, dict):
            built[name] = {field: count(details[field]) for field in fields if field in details}
    return built


def tool_call(call: Mapping[str, Any]) -> JSON | None:
    """Return a complete tool call."""
    for kind, written in (("function", "arguments"), ("custom", "input")):
        body = call.get(kind)
        if isinstance(body, dict) and isinstance(body.get("name"), str):
            value = body.get(written)
            return {
                "id": call_id(call.get("id")),
                "type": kind,
                kind: {"name": body["name"], written: value if isinstance(value, str) else ""},
            }
    return None


def tool_call_delta(call: Mapping[str, Any], position: int) -> JSON:
    """Return a fragment of a tool call; id and name come in the first one."""
    index = call.get("index")
    built: JSON = {"index": index if isinstance(index, int) else position}
    if call.get("id"):
        built["id"] = call_id(call["id"])
    kind = "custom" if isinstance(call.get("custom"), dict) else "function"
    body = call.get(kind)
    written = "input" if kind == "custom" else "arguments"
    if call.get("id") or call.get("type"):
        built["type"] = kind
    if isinstance(body, dict):
        built[kind] = {n: body[n] for n in ("name", written) if isinstance(body.get(n), str)}
    return built


def function_call(call: Any) -> JSON | None:
    """Return a function call in the legacy format, or a fragment of one."""
    if not isinstance(call, dict):
        return None
    return {name: call[name] for name in ("name", "arguments") if isinstance(call.get(name), str)}


def whole_function_call(call: Any) -> JSON | None:
    """Return a function call in the legacy format; None unless both of its fields are present."""
    built = function_call(call)
    return built if built and len(built) == 2 else None


def whole_audio(spoken: Any, tenant_id: int) -> JSON | None:
    """Return the audio of a whole message, with all fields that OpenAI's types require."""
    built = audio(spoken, tenant_id)
    if not built or "data" not in built:
        return None
    return {"id": seal("audio_", "", str(tenant_id)), "expires_at": 0, "transcript": "", **built}


def audio(spoken: Any, tenant_id: int) -> JSON | None:
    """Return the audio of a message or a fragment of it; the id is the provider's, encrypted for this tenant."""
    if not isinstance(spoken, dict):
        return None
    built: JSON = {name: spoken[name] for name in ("data", "transcript") if isinstance(spoken.get(name), str)}
    if isinstance(spoken.get("id"), str):
        built["id"] = seal("audio_", spoken["id"], str(tenant_id))
    if isinstance(spoken.get("expires_at"), int):
        built["expires_at"] = spoken["expires_at"]
    return built


def annotations(reported: Any) -> list[JSON]:
    """Return the citations of web pages; OpenAI's types have no other annotation of chat messages."""
    built = []
    for annotation in reported if isinstance(reported, list) else ():
        cited = annotation.get("url_citation") if isinstance(annotation, dict) else None
        if isinstance(cited, dict):
            citation: JSON = {
                name: cited[name] for name in ("url", "title") if isinstance(cited.get(name), str)
            }
            citation |= {n: cited[n] for n in ("start_index", "end_index") if isinstance(cited.get(n), int)}
            if len(citation) == 4:
                built.append({"type": "url_citation", "url_citation": citation})
    return built


def logprobs(reported: Any) -> JSON | None:
    """Return the log probabilities of a choice."""
    if not isinstance(reported, dict):
        return None
    built: JSON = {}
    for name in ("content", "refusal"):
        tokens = reported.get(name)
        built[name] = [_token(token) for token in tokens] if isinstance(tokens, list) else None
    return built


def _token(reported: Any) -> JSON:
    token = _bare_token(reported)
    top = reported.get("top_logprobs") if isinstance(reported, dict) else None
    token["top_logprobs"] = [_bare_token(other) for other in top] if isinstance(top, list) else []
    return token


def _bare_token(reported: Any) -> JSON:
    reported = reported if isinstance(reported, dict) else {}
    written, logprob, raw = reported.get("token"), reported.get("logprob"), reported.get("bytes")
    return {
        "token": written if isinstance(written, str) else "",
        "logprob": logprob if isinstance(logprob, int | float) else -9999.0,
        "bytes": [b for b in raw if isinstance(b, int)] if isinstance(raw, list) else None,
    }
