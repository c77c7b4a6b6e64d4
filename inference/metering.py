"""What a request used, in the units of its route."""

import asyncio
from collections.abc import Callable
from typing import Any

from inference.endpoints.transcriptions.schema import heard_ms
from inference.schemas.typed_events import token_usage
from tenants.usage.ledger import UsageEvent

JSON = dict[str, Any]


def meter_tokens(event: UsageEvent | None, usage: JSON) -> None:
    """Write a usage with OpenAI's chat or audio names into a record."""
    if event is None:
        return
    event.input_tokens = usage.get("prompt_tokens") or usage.get("input_tokens") or 0
    event.output_tokens = usage.get("completion_tokens") or usage.get("output_tokens") or 0
    event.cached_tokens = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    event.reasoning_tokens = usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0)


async def estimate(event: UsageEvent | None, count: Callable[[], tuple[int, int]]) -> JSON:
    """Return a usage for an answer whose provider reported none, and mark the record so.

    ``count`` returns the tokens of prompt and answer; it runs in a thread, since it may take milliseconds.
    """
    prompt, answered = await asyncio.get_running_loop().run_in_executor(None, count)
    if event is not None:
        event.estimated = True
    return {"prompt_tokens": prompt, "completion_tokens": answered, "total_tokens": prompt + answered}


async def meter_sound(event: UsageEvent | None, answer: JSON, length_ms: Callable[[], int]) -> None:
    """Write into a record how long the sound of a transcript was: as the provider says, else as the file does."""
    if event is None:
        return
    said = token_usage(answer.get("usage"))
    meter_tokens(event, said or {})
    event.audio_ms = heard_ms(answer)
    if not event.audio_ms:
        event.audio_ms = await asyncio.to_thread(length_ms)
        event.estimated = said is None
