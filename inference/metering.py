"""Metering: writes what a request used into its usage event (tokens, characters, seconds of audio, images)."""

import asyncio
from collections.abc import Callable

from gtapi.json_types import JSON
from inference.endpoints.transcriptions.schema import reported_audio_ms
from inference.schemas.typed_events import token_usage
from tenants.usage.record import UsageEvent


def meter_tokens(event: UsageEvent, usage: JSON) -> None:
    """Set the token counts of a usage event from OpenAI's usage object of chat, audio or image endpoints."""
    event.input_tokens = usage.get("prompt_tokens") or usage.get("input_tokens") or 0
    event.output_tokens = usage.get("completion_tokens") or usage.get("output_tokens") or 0
    event.cached_tokens = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    event.reasoning_tokens = usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0)


async def estimate(event: UsageEvent, count: Callable[[], tuple[int, int]]) -> JSON:
    """Return a usage for a response whose provider reported none, and mark the event as estimated.

    ``count`` returns the tokens of prompt and response; it runs in a thread, since it may take milliseconds.
    """
    prompt, completion = await asyncio.get_running_loop().run_in_executor(None, count)
    event.estimated = True
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def meter_reported(
    event: UsageEvent, reported: JSON | None, count: Callable[[], tuple[int, int]]
) -> JSON:
    """Meter the tokens that a provider reported, or an estimate of them, and return the usage object."""
    usage = reported or await estimate(event, count)
    meter_tokens(event, usage)
    return usage


async def meter_audio(event: UsageEvent, response: JSON, file_ms: Callable[[], int]) -> None:
    """Meter the duration of the transcribed audio: as the provider reports it, or else as read from the file."""
    reported = token_usage(response.get("usage"))
    meter_tokens(event, reported or {})
    event.audio_ms = reported_audio_ms(response)
    if not event.audio_ms:
        event.audio_ms = await asyncio.to_thread(file_ms)
        event.estimated = reported is None
