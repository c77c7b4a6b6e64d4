"""How the checks of OpenAI's SDK for Python make their clients."""

from typing import Any

from openai import OpenAI


def client(facts: Any, kind: Any = OpenAI, **options: Any) -> Any:
    given = {"max_retries": 0, "timeout": 30, "_strict_response_validation": True, **options}
    return kind(base_url=facts.base_url, api_key=facts.api_key, **given)


def lenient(facts: Any, kind: Any = OpenAI) -> Any:
    """Return a client that checks no shapes, as it is by default.

    Its strict types know neither vectors as base64, which it asks for itself, nor the open end of a streamed
    completion, which OpenAI sends too.
    """
    return client(facts, kind, _strict_response_validation=False)
