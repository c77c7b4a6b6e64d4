"""What a client may ask of a generation, read from its request and put into the engine's words."""

from dataclasses import dataclass, field
from typing import Any

from local_models.errors import InvalidRequestError
from local_models.fields import Body, boolean, integer, mapping, number, strings

DEFAULT_MAX_TOKENS = 128
#: OpenAI's own default is 1; a model this small then talks nonsense too often.
DEFAULT_TEMPERATURE = 0.2
MAX_TOKENS = 1_000_000
MAX_CHOICES = 8
MAX_STOPS = 16
#: The engine reads the largest 32-bit value as «choose a seed».
SEEDS = 2**32 - 1
#: Without it the model, left free to choose, fills its whole answer with white space.
COMPACT = {"x-guidance": {"whitespace_flexible": False}}


@dataclass(frozen=True, slots=True)
class Options:
    """The parameters that chat and plain completions share.

    Attributes:
        n: how many answers.
        stream: send each piece of text as it comes.
        include_usage: end a stream with a chunk that counts tokens.
        seed: makes an answer repeatable; the answers of one request get successive seeds.
        stops: texts that end an answer and are not part of it.
        engine: everything else, by the engine's names.
    """

    n: int = 1
    stream: bool = False
    include_usage: bool = False
    seed: int | None = None
    stops: tuple[str, ...] = ()
    engine: dict[str, Any] = field(default_factory=dict)


def read(body: Body, *, top_logprobs: int = 0) -> Options:
    """Return the options in ``body``; ``top_logprobs`` > 0 asks for log probabilities.

    Raises:
        InvalidRequestError: a value of the wrong type or out of range.
    """
    stops = strings(body, "stop")
    if len(stops) > MAX_STOPS:
        raise InvalidRequestError(f"'stop' may hold at most {MAX_STOPS} strings.", param="stop")
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
    return Options(
        n=integer(body, "n", 1, MAX_CHOICES) or 1,
        stream=boolean(body, "stream"),
        include_usage=boolean(mapping(body, "stream_options"), "include_usage"),
        seed=integer(body, "seed", -(2**63), 2**63 - 1),
        stops=tuple(stops),
        engine={name: value for name, value in engine.items() if value is not None},
    )


def _json_schema(body: Body) -> dict[str, Any] | None:
    """Return the schema that the answer is forced into, if any, in the engine's dialect."""
    wanted = mapping(body, "response_format")
    match wanted.get("type", "text"):
        case "text":
            return None
        case "json_object":
            return {"type": "object", **COMPACT}
        case "json_schema":
            return {**mapping(mapping(wanted, "json_schema"), "schema"), **COMPACT}
        case _:
            raise InvalidRequestError(
                "'response_format.type' has to be 'text', 'json_object' or 'json_schema'.",
                param="response_format",
            )
