"""Chat completions, whole and streamed: OpenAI's chat/object and chat/streaming."""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence

import orjson

from gtapi.ids import object_id
from gtapi.json_types import JSON
from inference.chat.citations import Sources
from inference.edge import DONE
from inference.schemas import chat_response as part


def completion(response: JSON, name: str, tenant_id: int, sources: Sources | None = None) -> JSON:
    """Return a whole completion under the model name that the client sent, with its citations."""
    built: JSON = {
        "id": object_id("chatcmpl-"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": name,
        "choices": [
            _choice(choice, position, tenant_id, sources)
            for position, choice in enumerate(response["choices"])
            if isinstance(choice, dict)
        ],
    }
    if (usage := part.usage(response.get("usage"))) is not None:
        built["usage"] = usage
    if (tier := part.service_tier(response.get("service_tier"))) is not None:
        built["service_tier"] = tier
    return built


def _choice(choice: JSON, position: int, tenant_id: int, sources: Sources | None) -> JSON:
    provider_message = choice.get("message")
    message = _message(provider_message if isinstance(provider_message, dict) else {}, tenant_id)
    if sources is not None:
        _add(message, sources.fields(message["content"] or ""))
    index = choice.get("index")
    return {
        "index": index if isinstance(index, int) else position,
        "message": message,
        "logprobs": part.logprobs(choice.get("logprobs")),
        "finish_reason": part.finish_reason(
            choice.get("finish_reason"), called_tools=bool(message.get("tool_calls"))
        ),
    }


def _message(provider_message: JSON, tenant_id: int) -> JSON:
    message: JSON = {
        "role": "assistant",
        "content": part.text(provider_message.get("content")),
        "refusal": part.text(provider_message.get("refusal")),
    }
    for name in ("reasoning_content", "reasoning"):
        if isinstance(provider_message.get(name), str):
            message[name] = provider_message[name]
    if provider_message.get("tool_calls"):
        calls = provider_message["tool_calls"] if isinstance(provider_message["tool_calls"], list) else []
        message["tool_calls"] = [
            built for call in calls if isinstance(call, dict) and (built := part.tool_call(call)) is not None
        ]
    if (called := part.whole_function_call(provider_message.get("function_call"))) is not None:
        message["function_call"] = called
    if (spoken := part.whole_audio(provider_message.get("audio"), tenant_id)) is not None:
        message["audio"] = spoken
    if provider_message.get("annotations"):
        message["annotations"] = part.annotations(provider_message["annotations"])
    return message


def _add(to: JSON, fields: JSON) -> None:
    """Add lists to those that a message or delta has."""
    for name, values in fields.items():
        to[name] = [*to.get(name, ()), *values]


def generated_text(message: JSON) -> str:
    """Return all text that a model generated in a message or delta, for an estimate of its tokens."""
    texts = [message.get(name) or "" for name in ("content", "refusal", "reasoning_content", "reasoning")]
    for call in message.get("tool_calls", ()):
        body = call.get("function") or call.get("custom") or {}
        texts += [body.get("name", ""), body.get("arguments", body.get("input", ""))]
    return "".join(texts)


class MessageCollector:
    """Joins the deltas of a stream to a message, which a conversation stores."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._calls: dict[int, JSON] = {}

    def add(self, delta: JSON) -> None:
        for name in ("content", "refusal"):
            if delta.get(name):
                self._texts[name] = self._texts.get(name, "") + delta[name]
        for call in delta.get("tool_calls", ()):
            known = self._calls.setdefault(call["index"], {})
            for name, value in call.items():
                if isinstance(value, dict):
                    body = known.setdefault(name, {})
                    for field, text in value.items():
                        body[field] = body.get(field, "") + text
                elif name != "index":
                    known[name] = value

    def message(self) -> JSON:
        """Return the whole message."""
        message: JSON = {"role": "assistant", "content": self._texts.get("content")}
        if "refusal" in self._texts:
            message["refusal"] = self._texts["refusal"]
        if self._calls:
            message["tool_calls"] = [self._calls[index] for index in sorted(self._calls)]
        return message


class CitationCollector:
    """Follows the text of each choice of a stream, so that its last delta can cite the sources."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._texts: defaultdict[int, list[str]] = defaultdict(list)
        self._annotated: Counter[int] = Counter()

    def add(self, index: int, delta: JSON) -> None:
        if delta.get("content"):
            self._texts[index].append(delta["content"])
        self._annotated[index] += len(delta.get("annotations", ()))

    def fields(self, index: int, delta: JSON) -> JSON:
        """Return the fields for the last delta of a choice, which has been added."""
        annotated = self._annotated[index]
        before = annotated > len(delta.get("annotations", ()))
        return self._sources.fields("".join(self._texts[index]), after=annotated if before else 0)


class ChunkWriter:
    """Turns a provider's chunks into ours, as the bytes of events.

    ``complete`` tells whether every choice that began has its finish reason, ``usage`` what the provider
    reported, and ``text`` what the model wrote where nothing was reported.
    """

    def __init__(
        self,
        name: str,
        tenant_id: int,
        *,
        include_usage: bool,
        collector: "MessageCollector | None" = None,
        sources: Sources | None = None,
    ) -> None:
        self.usage: JSON | None = None
        self.collector = collector
        self.text: list[str] = []
        self._tenant_id = tenant_id
        self._include_usage = include_usage
        #: By index of a choice: whether it has called tools, and whether it has finished.
        self._begun: dict[int, bool] = {}
        self._finished: set[int] = set()
        self._citations = CitationCollector(sources) if sources is not None else None
        self._frame: JSON = {
            "id": object_id("chatcmpl-"),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": name,
        }
        # Most chunks are a piece of content and nothing else: all but that piece is written once.
        head = orjson.dumps(self._frame)[:-1]
        self._before = b"data: " + head + b',"choices":[{"index":0,"delta":{"content":'
        self._after = b'},"logprobs":null,"finish_reason":null}]'
        self._after += b',"usage":null}\n\n' if include_usage else b"}\n\n"

    @property
    def begun(self) -> bool:
        return bool(self._begun)

    @property
    def complete(self) -> bool:
        return bool(self._begun) and len(self._finished) == len(self._begun)

    def write(self, chunks: Sequence[JSON]) -> bytes:
        """Return the events for chunks that arrived together; empty where they hold nothing for the client."""
        return b"".join([self._write(chunk) for chunk in chunks])

    def _write(self, chunk: JSON) -> bytes:
        if chunk.get("usage") is not None:
            self.usage = part.usage(chunk["usage"]) or self.usage
        choices = chunk["choices"]
        if len(choices) == 1 and 0 in self._begun and isinstance(choices[0], dict):
            choice = choices[0]
            delta = choice.get("delta")
            if (
                choice.get("finish_reason") is None
                and choice.get("logprobs") is None
                and not choice.get("index")
                and isinstance(delta, dict)
                and isinstance(content := delta.get("content"), str)
                and (len(delta) == 1 or (len(delta) == 2 and "role" in delta))
            ):
                self.text.append(content)
                if self.collector is not None:
                    self.collector.add({"content": content})
                if self._citations is not None:
                    self._citations.add(0, delta)
                return self._before + orjson.dumps(content) + self._after
        built = [self._choice(choice, at) for at, choice in enumerate(choices) if isinstance(choice, dict)]
        return self._event(built, chunk) if built else b""

    def _choice(self, choice: JSON, position: int) -> JSON:
        index = choice.get("index")
        index = index if isinstance(index, int) else position
        provider_delta = choice.get("delta")
        delta = self._delta(provider_delta if isinstance(provider_delta, dict) else {}, index)
        self.text.append(generated_text(delta))
        if self.collector is not None and index == 0:
            self.collector.add(delta)
        if delta.get("tool_calls"):
            self._begun[index] = True
        if self._citations is not None:
            self._citations.add(index, delta)
        reason = choice.get("finish_reason")
        if reason is not None:
            reason = part.finish_reason(reason, called_tools=self._begun[index])
            if self._citations is not None and index not in self._finished:
                _add(delta, self._citations.fields(index, delta))
            self._finished.add(index)
        return {
            "index": index,
            "delta": delta,
            "logprobs": part.logprobs(choice.get("logprobs")),
            "finish_reason": reason,
        }

    def _delta(self, provider_delta: JSON, index: int) -> JSON:
        delta: JSON = {}
        if index not in self._begun:
            self._begun[index] = False
            delta["role"] = "assistant"
        for name in ("content", "refusal"):
            if name in provider_delta:
                delta[name] = part.text(provider_delta[name])
        for name in ("reasoning_content", "reasoning"):
            if isinstance(provider_delta.get(name), str):
                delta[name] = provider_delta[name]
        calls = provider_delta.get("tool_calls")
        if isinstance(calls, list):
            delta["tool_calls"] = [
                part.tool_call_delta(call, at) for at, call in enumerate(calls) if isinstance(call, dict)
            ]
        if (called := part.function_call(provider_delta.get("function_call"))) is not None:
            delta["function_call"] = called
        if (spoken := part.audio(provider_delta.get("audio"), self._tenant_id)) is not None:
            delta["audio"] = spoken
        if provider_delta.get("annotations"):
            delta["annotations"] = part.annotations(provider_delta["annotations"])
        return delta

    def _event(self, choices: list[JSON], chunk: JSON) -> bytes:
        event: JSON = {**self._frame, "choices": choices}
        if (tier := part.service_tier(chunk.get("service_tier"))) is not None:
            event["service_tier"] = tier
        if self._include_usage:
            event["usage"] = None
        return b"data: " + orjson.dumps(event) + b"\n\n"

    def end(self, usage: JSON) -> bytes:
        """Return the events before ``[DONE]``: the finish reasons that the provider forgot, and the usage."""
        events = b""
        missing = sorted(self._begun.keys() - self._finished)
        for index in missing:
            reason = "tool_calls" if self._begun[index] else "stop"
            delta = self._citations.fields(index, {}) if self._citations is not None else {}
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
            events += self._event([choice], {})
        if self._include_usage:
            events += b"data: " + orjson.dumps({**self._frame, "choices": [], "usage": usage}) + b"\n\n"
        return events

    def done(self) -> bytes:
        return DONE
