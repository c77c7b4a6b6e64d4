"""Turns stored messages of a conversation into readable parts.

Their content is untrusted: it may have any shape, and is shown as text, never as markup.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gtapi.templatetags.amounts import size as size_text

#: Characters of one part that are shown; a client may have sent megabytes.
MOST_CHARACTERS = 20_000
#: Characters of an address or a name that are shown.
MOST_OF_A_NAME = 200


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a message. ``kind``: text, code, image, audio, file or refusal; ``title`` says what it is."""

    kind: str
    text: str = ""
    title: str = ""
    more: int = 0


@dataclass(frozen=True, slots=True)
class Citation:
    """A citation of a dataset file in a message."""

    filename: str
    file_id: str
    quote: str
    page: str


@dataclass(slots=True)
class Message:
    """A message to be read: who speaks, and what is said."""

    role: str
    title: str
    parts: list[Part] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)


#: How each role is called.
ROLES = {
    "user": "User",
    "assistant": "Assistant",
    "system": "System",
    "developer": "Developer",
    "tool": "Tool",
    "function": "Function",
}


def read(message: Any, calls: dict[str, str]) -> Message:
    """Return a stored message as something to read.

    ``calls`` maps ids of tool calls to the names of the tools: those of this message are added to it, and the
    results that follow are told by it.
    """
    held: Mapping[str, Any] = message if isinstance(message, Mapping) else {"content": message}
    role = str(held.get("role") or "")
    made = Message(role if role in ROLES else "other", _title(held, role, calls))
    made.parts += _content(held.get("content"), code=role in ("tool", "function"))
    if held.get("refusal"):
        made.parts.append(_text(str(held["refusal"]), "refusal", "Refusal"))
    for call in _list(held.get("tool_calls")):
        made.parts.append(_call(call, calls))
    if isinstance(held.get("function_call"), Mapping):
        made.parts.append(_function(held["function_call"]))
    if isinstance(held.get("audio"), Mapping):
        made.parts.append(_recording(held["audio"]))
    made.citations = [_citation(one) for one in _list(held.get("citations")) if isinstance(one, Mapping)]
    if not made.parts:
        made.parts.append(Part("text", "", "empty message"))
    return made


def _title(held: Mapping[str, Any], role: str, calls: Mapping[str, str]) -> str:
    title = ROLES.get(role, role[:MOST_OF_A_NAME] or "No role")
    tool = calls.get(str(held.get("tool_call_id"))) if role == "tool" else held.get("name")
    if role == "tool":
        return f"Result of {tool}" if tool else "Result of a tool"
    return f"{title} · {str(tool)[:MOST_OF_A_NAME]}" if tool else title


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(text: str, kind: str = "text", title: str = "") -> Part:
    return Part(kind, text[:MOST_CHARACTERS], title, max(0, len(text) - MOST_CHARACTERS))


def _content(content: Any, *, code: bool) -> list[Part]:
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [_text(_pretty(content), "code") if code else _text(content)]
    if isinstance(content, list):
        return [_part(part) for part in content]
    return [_text(_dump(content), "code")]


def _part(part: Any) -> Part:
    if isinstance(part, str):
        return _text(part)
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in ("text", "input_text", "output_text"):
        return _text(str(part.get("text") or ""))
    if kind == "refusal":
        return _text(str(part.get("refusal") or ""), "refusal", "Refusal")
    if kind in ("image_url", "input_image"):
        return _image(part)
    if kind == "input_audio" and isinstance(part.get("input_audio"), Mapping):
        return _recording(part["input_audio"])
    if kind in ("file", "input_file"):
        inner = part.get("file")
        return _file(inner if isinstance(inner, Mapping) else part)
    return _text(_dump(part), "code", str(kind or "Something else")[:MOST_OF_A_NAME])


def _image(part: Mapping[str, Any]) -> Part:
    held = part.get("image_url")
    address = (
        str(held.get("url") or "") if isinstance(held, Mapping) else str(held or part.get("file_id") or "")
    )
    if address.startswith("data:"):
        return Part("image", _data(address), "Image")
    return Part("image", address[:MOST_OF_A_NAME], "Image at an address")


def _data(address: str) -> str:
    head, _, data = address.partition(",")
    kind = head.removeprefix("data:").partition(";")[0] or "unknown type"
    return f"{kind[:MOST_OF_A_NAME]}, {size_text(len(data) * 3 // 4)}"


def _recording(held: Mapping[str, Any]) -> Part:
    said = [str(held[name])[:MOST_OF_A_NAME] for name in ("format", "id") if held.get(name)]
    if isinstance(held.get("data"), str):
        said.append(size_text(len(held["data"]) * 3 // 4))
    if held.get("transcript"):
        said.append(f"“{str(held['transcript'])[:MOST_CHARACTERS]}”")
    return Part("audio", ", ".join(said), "Recording")


def _file(held: Mapping[str, Any]) -> Part:
    name = str(held.get("filename") or held.get("file_id") or "without a name")[:MOST_OF_A_NAME]
    data = held.get("file_data")
    return Part("file", f"{name}, {_data(data)}" if isinstance(data, str) else name, "File")


def _call(call: Any, calls: dict[str, str]) -> Part:
    if not isinstance(call, Mapping):
        return _text(_dump(call), "code", "Calls a tool")
    inner = call.get("function") or call.get("custom")
    part = _function(inner if isinstance(inner, Mapping) else {})
    calls[str(call.get("id"))] = part.title.removeprefix("Calls ")
    return part


def _function(held: Mapping[str, Any]) -> Part:
    name = str(held.get("name") or "a tool")[:MOST_OF_A_NAME]
    arguments = held.get("arguments", held.get("input"))
    text = _pretty(arguments) if isinstance(arguments, str) else _dump(arguments) if arguments else ""
    return _text(text, "code", f"Calls {name}")


def _pretty(text: str) -> str:
    """Return JSON with a line a value, and whatever is none as it is."""
    if len(text) > MOST_CHARACTERS or not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return _dump(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _dump(value: Any) -> str:
    # Half a surrogate pair, which an escape may stand for, cannot be sent.
    return json.dumps(value, indent=2, ensure_ascii=False).encode(errors="backslashreplace").decode()


def _citation(held: Mapping[str, Any]) -> Citation:
    page = held.get("page")
    return Citation(
        filename=str(held.get("filename") or held.get("file_id") or "a file")[:MOST_OF_A_NAME],
        file_id=str(held.get("file_id") or ""),
        quote=str(held.get("quote") or "")[:MOST_CHARACTERS],
        page=str(page)[:20] if page is not None else "",
    )
