"""Answers with a canary in everything that the provider, not its model, says of itself.

A canary is a string that occurs nowhere else and names the place where it was planted. What the model wrote
(content, the name and arguments of a tool call, reasoning, refusals, spoken audio, tokens of the log
probabilities) carries none, since that does reach the client.
"""

import re
import secrets
from typing import Any

from tests.answers import Headers, encode, event

#: The prefix of every canary, which the gateway cannot produce otherwise.
MARK = "kanari" + secrets.token_hex(3)
RAW_MODEL = f"{MARK}-vendor/{MARK}-raw-model"
API_KEY = f"sk-{MARK}-credential"


def canary(place: str) -> str:
    return f"{MARK}-{place}"


def found(*answers: bytes | str) -> list[str]:
    """The canaries in what a client got, whatever their case."""
    text = " ".join(part.decode("utf-8", "replace") if isinstance(part, bytes) else part for part in answers)
    return sorted(set(re.findall(rf"[\w./-]*{MARK}[\w./-]*", text, re.IGNORECASE)))


def headers() -> Headers:
    """Headers that providers send, each with a canary."""
    names = (
        "x-request-id", "request-id", "openai-organization", "openai-processing-ms", "openai-version",
        "openai-project", "x-ratelimit-limit-requests", "x-ratelimit-remaining-tokens", "server", "via",
        "cf-ray", "x-served-by", "etag", "www-authenticate", "link", "x-envoy-upstream-service-time",
        "x-groq-region", "x-amzn-requestid", "apim-request-id", "azureml-model-session", "alt-svc",
        "strict-transport-security", "x-should-retry", "content-language", "server-timing", "report-to",
        "warning", "trailer",
    )  # fmt: skip
    return [(name, canary(f"header-{name}")) for name in names] + [
        ("set-cookie", f"{MARK}={canary('cookie')}; path=/"),
        (f"x-{MARK}", "a header with a telling name"),
        ("content-disposition", f'inline; filename="{canary("filename")}"'),
    ]


def unknown(place: str) -> dict[str, Any]:
    """Fields that no client knows: in value, in name, and nested."""
    return {
        "provider": canary(f"{place}-provider"),
        "x_vendor": {"id": canary(f"{place}-nested"), "list": [canary(f"{place}-list")]},
        f"{MARK}_{place}_name": 1,
    }


def planted_usage(place: str = "usage") -> dict[str, Any]:
    return {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 2, **unknown(f"{place}-prompt")},
        "completion_tokens_details": {"reasoning_tokens": 3, **unknown(f"{place}-completion")},
        "cost": canary(f"{place}-cost"),
        **unknown(place),
    }


def _top(kind: str) -> dict[str, Any]:
    return {
        "id": canary("id"),
        "object": canary("object"),
        "created": 1790000000,
        "model": RAW_MODEL,
        "system_fingerprint": canary("fingerprint"),
        "service_tier": canary("tier"),
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {"x": canary("filter")}}],
        "error": None,
        "metadata": {"trace": canary("metadata")},
        "citations": [canary("top-citation")],
        **unknown(kind),
    }


def _logprobs() -> dict[str, Any]:
    token = {"token": "Hi", "bytes": [72, 105], "logprob": -0.5}
    return {
        "content": [{**token, "top_logprobs": [{**token, **unknown("top-logprob")}], **unknown("logprob")}],
        "refusal": None,
        **unknown("logprobs"),
    }


def _tool_calls(index: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {
            **index,
            "id": canary("tool-call-id"),
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "Bonn"}', **unknown("function")},
            "extra_content": {"signature": canary("tool-extra")},
            **unknown("tool-call"),
        }
    ]


def _message() -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": "A clean sentence.",
        "refusal": None,
        "reasoning_content": "A clean thought.",
        "reasoning_details": [
            {"type": "text", "id": canary("reasoning-id"), "signature": canary("signature")}
        ],
        "annotations": [],
        "audio": {"id": canary("audio-id"), "data": "AAAA", "expires_at": 1790000600, "transcript": "Hi"},
        "provider_specific_fields": {"x": canary("provider-fields")},
        **unknown("message"),
    }


def completion() -> dict[str, Any]:
    """A whole answer full of canaries, with a finish reason of the provider's own."""
    choices = [
        {
            "index": 0,
            "message": {**_message(), "tool_calls": _tool_calls({})},
            "logprobs": _logprobs(),
            "finish_reason": canary("finish"),
            "native_finish_reason": canary("native-finish"),
            "content_filter_results": {"hate": canary("choice-filter")},
            "stop_reason": canary("stop-reason"),
            **unknown("choice"),
        }
    ]
    return {**_top("top"), "choices": choices, "usage": planted_usage()}


def chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    choices = [
        {
            "index": 0,
            "delta": {**delta, **unknown("delta")},
            "logprobs": _logprobs(),
            "finish_reason": None,
            "content_filter_results": {"hate": canary("choice-filter")},
            **unknown("stream-choice"),
            **more,
        }
    ]
    return {**_top("chunk"), "choices": choices, "usage": None}


def events() -> list[Any]:
    """A stream full of canaries: in fields, comments, and the names and ids of events."""
    named = f"event: {canary('event-name')}\nid: {canary('event-id')}\nretry: 10\n".encode()
    return [
        f": {canary('comment')}\n\n".encode(),
        {**_top("first"), "choices": []},
        chunk({"role": "assistant", "content": ""}),
        named + event(chunk({"content": "A clean "})),
        event(chunk({"reasoning_content": "A clean thought."}), newline="\r\n"),
        chunk({"content": "sentence."}),
        chunk({"tool_calls": _tool_calls({"index": 0})}),
        chunk({"reasoning_details": [{"id": canary("delta-reasoning-id")}]}),
        chunk({"audio": {"id": canary("delta-audio-id"), "data": "AAAA"}}),
        chunk({}, finish_reason=canary("stream-finish"), native_finish_reason=canary("stream-native-finish")),
        {**_top("usage-chunk"), "choices": [], "usage": planted_usage("stream-usage")},
    ]


def error(place: str = "error") -> dict[str, Any]:
    """An error in OpenAI's shape that tells everything."""
    return {
        "error": {
            "message": f"{canary(place)}: {RAW_MODEL} at https://{MARK}.example refused {API_KEY}",
            "type": canary(f"{place}-type"),
            "param": canary(f"{place}-param"),
            "code": canary(f"{place}-code"),
            **unknown(place),
        },
        "request_id": canary(f"{place}-request"),
    }


def page() -> bytes:
    return (
        f"<html><title>{canary('html-title')}</title><body>{RAW_MODEL} {canary('html-body')}</body>".encode()
    )


def error_bodies() -> list[tuple[str, bytes, str]]:
    """Name, body and content type of errors in every wording, each with canaries."""
    return [
        ("openai", encode(error()), "application/json"),
        ("detail", encode({"detail": [{"msg": canary("detail"), "input": RAW_MODEL}]}), "application/json"),
        ("string", encode({"error": canary("error-string")}), "application/json"),
        ("json-string", encode(f'"{canary("json-string")}"'), "application/json"),
        ("html", page(), f"text/html; charset={canary('charset')}"),
        ("text", encode(canary("text")), f"text/{canary('content-type')}"),
        ("half", encode(error())[:-30], "application/json"),
    ]
