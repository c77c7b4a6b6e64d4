"""Reads the generation parameters of a request and translates them for the engine."""

from dataclasses import dataclass, field
from typing import Any

from local_models.errors import InvalidRequestError
from local_models.fields import Body, boolean, integer, mapping, number, strings

DEFAULT_MAX_TOKENS = 128
#: OpenAI's default is 1, at which so small a model is often incoherent.
DEFAULT_TEMPERATURE = 0.2
MAX_TOKENS = 1_000_000
MAX_CHOICES = 8
MAX_STOPS = 16
#: The engine takes the largest 32-bit value for a random seed.
SEEDS = 2**32 - 1
#: Without it the model may generate nothing but whitespace.
COMPACT = {"x-guidance": {"whitespace_flexible": False}}


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """The parameters that chat and plain completions share.

    Attributes:
        n: number of choices.
        stream: send text as it is generated.
        include_usage: end a stream with a chunk that holds the usage.
        seed: makes generations reproducible; the choices of a request get successive seeds.
        stops: stop sequences, which are not part of the text.
        engine: all other parameters, by the engine's names.
    """

    n: int = 1
    stream: bool = False
    include_usage: bool = False
    seed: int | None = None
    stops: tuple[str, ...] = ()
    engine: dict[str, Any] = field(default_factory=dict)


def read_options(body: Body, *, top_logprobs: int = 0) -> GenerationOptions:
    """Return the options in ``body``; a ``top_logprobs`` above 0 requests log probabilities.

    Raises:
        InvalidRequestError: a value has the wrong type or is out of range.
    """
    stops = strings(body, "stop")
    if len(stops) > MAX_STOPS:
        raise InvalidRequestError(f"'stop' must have at most {MAX_STOPS} strings.", param="stop")
    temperature = number(body, "temperature", 0, 2)
    engine: dict[str, Any] = {
        "temperature": DEFAULT_TEMPERATURE if temperature is None else temperature,
        "max_tokens": (
            integer(body, "max_completion_tokens", 1, MAX_TOKENS)
            or integer(body, "max_tokens", 1, MAX_TOKENS)
            or DEFAULT_MAX_TOKENS
        ),
        "top_p": number(body, "top_p", 0, 1),
        "presence_penalty": number(body, "presence_penalty", -2, 2),
        "frequency_penalty": number(body, "frequency_penalty", -2, 2),
        "logprobs": top_logprobs or None,
        "json_schema": _json_schema(body),
    }
    return GenerationOptions(
        n=integer(body, "n", 1, MAX_CHOICES) or 1,
        stream=boolean(body, "stream"),
        include_usage=boolean(mapping(body, "stream_options"), "include_usage"),
        seed=integer(body, "seed", -(2**63), 2**63 - 1),
        stops=tuple(stops),
        engine={name: value for name, value in engine.items() if value is not None},
    )


def _json_schema(body: Body) -> dict[str, Any] | None:
    """Return the JSON schema that the text must follow, if any, with the engine's extension."""
    response_format = mapping(body, "response_format")
    match response_format.get("type", "text"):
        case "text":
            return None
        case "json_object":
            return {"type": "object", **COMPACT}
        case "json_schema":
            return {**mapping(mapping(response_format, "json_schema"), "schema"), **COMPACT}
        case _:
            raise InvalidRequestError(
                "'response_format.type' must be 'text', 'json_object' or 'json_schema'.",
                param="response_format",
            )
