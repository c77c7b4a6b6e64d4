"""The scripted provider behind the gateway while clients are tested. It reacts to the content of each request.

It calls the tools it is offered, fills in JSON schemas and responds in the requested format, so that complete
agent loops of a client run through the gateway. `MODELS` maps each public name to its behaviour.
"""

import base64
import json
import re
import struct
import zlib
from array import array
from dataclasses import dataclass, field
from typing import Any

from tests.answers import (
    answer,
    choice,
    chunk,
    completion,
    error_body,
    event,
    stream,
    tool_call,
    usage,
)  # fmt: skip
from tests.e2e.routes import CAPABILITIES
from tests.e2e.scenarios import MODELS as SCENARIOS
from tests.e2e.scenarios import ONLY_CHAT
from tests.upstream import Play, Wire

JSON = dict[str, Any]

#: Values for schema properties, by name; other properties are filled by type.
BY_NAME: JSON = {
    "city": "Bonn",
    "name": "Bonn",
    "people": 335000,
    "celsius": 21.5,
    "response": "It is sunny.",
}
BY_TYPE: JSON = {"string": "text", "integer": 7, "number": 0.5, "boolean": True, "null": None}
SUNNY = "It is sunny in Bonn."
TRANSCRIPT = "The quick brown fox."
SRT = f"1\n00:00:00,000 --> 00:00:01,500\n{TRANSCRIPT}\n\n"
VTT = f"WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n{TRANSCRIPT}\n\n"
#: Responses to an editor that requests a change: a whole file, and a search-and-replace block.
WHOLE_EDIT = 'greet.py\n```python\nprint("Hello, Bonn!")\n```\n'
BLOCK_EDIT = (
    'greet.py\n```python\n<<<<<<< SEARCH\nprint("Hello")\n=======\n'
    'print("Hello, Bonn!")\n>>>>>>> REPLACE\n```\n'
)


def sample(schema: JSON, root: JSON | None = None, name: str = "") -> Any:
    """Return a value that is valid under a JSON schema, the same one each time."""
    root = root or schema
    if "$ref" in schema:
        found: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return sample(found, root, name)
    for options in ("anyOf", "oneOf", "allOf"):
        if schema.get(options):
            return sample(schema[options][0], root, name)
    if "const" in schema or schema.get("enum"):
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {key: sample(value, root, key) for key, value in schema.get("properties", {}).items()}
    if kind == "array":
        return [sample(schema.get("items", {"type": "string"}), root, name)]
    return BY_NAME.get(name, BY_TYPE.get(kind))


def text_of(message: JSON) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content or ""


def calls_for(body: JSON) -> list[JSON]:
    """Return the tool calls for a request: none once their results are there, unless `tool_choice` requires one.

    If the conversation contains "both", there are two parallel calls, for two cities.
    """
    tools = {
        tool["function"]["name"]: tool["function"] for tool in body.get("tools") or () if "function" in tool
    }
    wanted = body.get("tool_choice") or "auto"
    messages = body["messages"]
    called = [c["function"]["name"] for m in messages for c in m.get("tool_calls") or ()]
    if not tools or wanted == "none":
        return []
    if isinstance(wanted, dict):
        names = [wanted["function"]["name"]]
    elif wanted == "required":
        names = [name for name in tools if name not in called] or list(tools)
    else:
        names = [] if messages[-1]["role"] == "tool" else list(tools)
    if not names:
        return []
    name = names[0]
    arguments = sample(tools[name].get("parameters") or {})
    asked = [arguments]
    if "both" in " ".join(text_of(m) for m in messages) and "city" in arguments:
        asked.append({**arguments, "city": "Köln"})
    number = len(called)
    return [
        tool_call(at, name, json.dumps(one, ensure_ascii=False), f"call_upstream_{number + at}")
        for at, one in enumerate(asked)
    ]


def words_for(body: JSON) -> str:
    """Return the model's text: JSON if requested, otherwise an echo of the message, or the tools' results."""
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return json.dumps(sample(wanted["json_schema"]["schema"]))
    if wanted.get("type") == "json_object":
        return '{"name": "Bonn", "people": 335000}'
    last = body["messages"][-1]
    if text_of(last) == "What did I say?":
        # The part of the conversation that reached the model.
        return " ".join(text_of(one) for one in body["messages"][:-1] if one["role"] == "user")
    return SUNNY if last["role"] == "tool" else f"You said: {text_of(last)}"


def chat(body: JSON) -> Play:
    calls = calls_for(body)
    words = None if calls else words_for(body)
    finish = "tool_calls" if calls else "stop"
    if not body.get("stream"):
        more = {"tool_calls": calls} if calls else {}
        made = [choice(words, index=n, finish=finish, **more) for n in range(body.get("n") or 1)]
        return answer(completion(choices=made))
    chunks = [chunk({"role": "assistant", "content": None if calls else ""})]
    for at, call in enumerate(calls):
        whole = call["function"]["arguments"]
        opening = {**call, "index": at, "function": {**call["function"], "arguments": ""}}
        parts = [{"index": at, "function": {"arguments": whole[i : i + 5]}} for i in range(0, len(whole), 5)]
        chunks += [chunk({"tool_calls": [part]}) for part in (opening, *parts)]
    chunks += [chunk({"content": part}) for part in re.findall(r"\s*\S+", words or "")]
    chunks += [chunk({}, finish=finish), chunk(choices=[], usage=usage())]
    return stream(*chunks)


def completions(body: JSON) -> Play:
    def said(text: str, finish: str | None) -> JSON:
        choices = [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish}]
        return {"id": "cmpl-upstream-1", "object": "text_completion", "created": 1790000000, "model": "raw",
                "choices": choices}  # fmt: skip

    if body.get("stream"):
        return stream(
            said("Once upon", None),
            said(" a time.", "stop"),
            {**said("", None), "choices": [], "usage": usage()},
        )
    return answer({**said("Once upon a time.", "stop"), "usage": usage()})


def embeddings(body: JSON) -> Play:
    given = body["input"]
    one = isinstance(given, str) or (given and isinstance(given[0], int))
    inputs = [given] if one else given
    data = []
    for index, item in enumerate(inputs):
        vector = [len(item) / (place + 1) for place in range(body.get("dimensions") or 8)]
        if body.get("encoding_format") == "base64":
            vector = base64.b64encode(array("f", vector).tobytes()).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    used = {"prompt_tokens": 3 * len(data), "total_tokens": 3 * len(data)}
    return answer({"object": "list", "data": data, "model": "raw", "usage": used})


def moderations(body: JSON) -> Play:
    given = body["input"] if isinstance(body["input"], list) else [body["input"]]
    results = []
    for item in given:
        bad = "kill" in (item if isinstance(item, str) else item.get("text", ""))
        results.append(
            {"flagged": bad, "categories": {"violence": bad}, "category_scores": {"violence": 0.9 * bad}}
        )
    return answer({"id": "modr-upstream-1", "model": "raw", "results": results})


def speech(body: JSON) -> Play:
    sound = b"\x00\x01" * 4000
    if body.get("stream_format") == "sse":
        delta = {"type": "speech.audio.delta", "audio": base64.b64encode(sound).decode()}
        used = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
        return stream(delta, {"type": "speech.audio.done", "usage": used})
    return answer(sound, content_type="audio/mpeg")


def fields_of(body: bytes) -> JSON:
    """Return the text fields of a multipart form."""
    found = re.findall(rb'; name="([^"]+)"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)', body)
    return {name.decode(): value.decode(errors="replace") for name, value in found}


def transcription(form: JSON) -> Play:
    kind = form.get("response_format", "json")
    if kind in ("text", "srt", "vtt"):
        said = {"text": TRANSCRIPT + "\n", "srt": SRT, "vtt": VTT}[kind]
        return answer(said, content_type="text/plain")
    used = {"type": "duration", "seconds": 2}
    if form.get("stream") == "true":
        deltas = [
            {"type": "transcript.text.delta", "delta": part} for part in re.findall(r"\s*\S+", TRANSCRIPT)
        ]
        return stream(*deltas, {"type": "transcript.text.done", "text": TRANSCRIPT})
    if kind == "verbose_json":
        segment = {"id": 0, "seek": 0, "start": 0.0, "end": 1.5, "text": TRANSCRIPT, "tokens": [1, 2],
                   "temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0,
                   "no_speech_prob": 0.0}  # fmt: skip
        words = [{"word": "The", "start": 0.0, "end": 0.3}]
        return answer({"task": "transcribe", "language": "english", "duration": 1.5, "text": TRANSCRIPT,
                       "segments": [segment], "words": words, "usage": used})  # fmt: skip
    return answer({"text": TRANSCRIPT, "usage": used})


def _png() -> str:
    """Return a PNG with one red pixel, as base64."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = part(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    pixel = part(b"IDAT", zlib.compress(b"\x00\xff\x00\x00"))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + header + pixel + part(b"IEND", b"")).decode()


PNG = _png()


def images(body: JSON, kind: str = "image_generation") -> Play:
    used = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8,
            "input_tokens_details": {"text_tokens": 3, "image_tokens": 0}}  # fmt: skip
    if str(body.get("stream")).lower() == "true":
        looks = {"b64_json": PNG, "created_at": 1790000000, "size": "1024x1024", "quality": "high",
                 "background": "opaque", "output_format": "png"}  # fmt: skip
        partial = {"type": f"{kind}.partial_image", "partial_image_index": 0, **looks}
        whole = {"type": f"{kind}.completed", **looks, "usage": used}
        return stream(
            *(f"event: {one['type']}\n".encode() + event(one) for one in (partial, whole)), done=False
        )
    data = [{"b64_json": PNG, "url": "https://images.example/1.png"}] * int(body.get("n") or 1)
    return answer({"created": 1790000000, "data": data, "usage": used})


async def play(wire: Wire) -> None:
    """Respond to a request on any route; a request that cannot be parsed gets a 400."""
    try:
        answered = _play_for(wire)
    except Exception as error:  # noqa: BLE001 - a silent provider would look like a slow one
        answered = answer(error_body(f"the scripted provider: {error!r}"), 400)
    await answered(wire)


def _play_for(wire: Wire) -> Play:
    received = wire.received
    route = received.path.partition("?")[0].removeprefix("/v1/")
    form = "multipart/" in (received.header("content-type") or "")
    body = fields_of(received.body) if form else received.json
    plays = {
        "chat/completions": chat,
        "completions": completions,
        "embeddings": embeddings,
        "moderations": moderations,
        "audio/speech": speech,
        "audio/transcriptions": transcription,
        "audio/translations": transcription,
        "images/generations": images,
        "images/edits": lambda form: images(form, "image_edit"),
        "images/variations": images,
    }
    return plays[route](body)


@dataclass
class Flaky:
    """Refuses each new request once with `retry-after`, and responds to the retry."""

    status: int = 429
    seen: set[str] = field(default_factory=set)

    async def __call__(self, wire: Wire) -> None:
        asked = text_of(wire.received.json["messages"][-1])
        if asked in self.seen:
            await play(wire)
            return
        self.seen.add(asked)
        await answer(error_body(), self.status, headers=[("retry-after", "2")])(wire)


async def _slow(wire: Wire) -> None:
    await wire.pause(4)
    await play(wire)


def _edit(text: str) -> Play:
    async def edit(wire: Wire) -> None:
        said = [chunk({"role": "assistant", "content": ""}), chunk({"content": text}), chunk({}, finish="stop"),
                chunk(choices=[], usage=usage())]  # fmt: skip
        streamed = wire.received.json.get("stream")
        await (stream(*said) if streamed else answer(completion(text)))(wire)

    return edit


CHAT = ("chat",)
#: Every public model name, with its capabilities and the provider's behaviour for it.
MODELS: dict[str, tuple[tuple[str, ...], Play]] = {
    **{name: (CHAT if name == ONLY_CHAT else CAPABILITIES, made) for name, made in SCENARIOS.items()},
    "chat": (CHAT, play),
    "embedder": (("embed",), play),
    "transcriber": (("transcribe",), play),
    "speaker": (("speech",), play),
    "painter": (("image",), play),
    "moderator": (("moderate",), play),
    "too-long": (CHAT, answer(error_body(code="context_length_exceeded"), 400)),
    "flaky": (CHAT, Flaky()),
    "flaky-server": (CHAT, Flaky(503)),
    "slow": (CHAT, _slow),
    "stuck": (CHAT, answer(wait=60)),
    "edit-whole": (CHAT, _edit(WHOLE_EDIT)),
    "edit-block": (CHAT, _edit(BLOCK_EDIT)),
}
#: Models whose provider has short timeouts.
IMPATIENT = {"stuck"}
