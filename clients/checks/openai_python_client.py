"""Client factory for the checks of OpenAI's Python SDK."""

from typing import Any

from openai import OpenAI


def client(facts: Any, kind: Any = OpenAI, **options: Any) -> Any:
    given = {"max_retries": 0, "timeout": 30, "_strict_response_validation": True, **options}
    return kind(base_url=facts.base_url, api_key=facts.api_key, **given)


def lenient(facts: Any, kind: Any = OpenAI) -> Any:
    """Return a client without strict response validation, which is the default.

    Its strict types reject base64 vectors, which it requests itself, and the open end of a streamed completion,
    which OpenAI sends, too.
    """
    return client(facts, kind, _strict_response_validation=False)
