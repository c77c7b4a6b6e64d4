"""Schemas of the routes under ``/conversations`` (conversations/create, create-item, list-items).

Clients see items in the format of OpenAI's Responses API; conversations store them as chat messages.
"""

from collections.abc import Callable
from typing import Any

from gtapi.json_types import JSON
from gtapi.validation import invalid, missing, of_type, one_of, wrong_type
from inference.models import Conversation, Item

MAX_ITEMS = 20
ROLES = ("user", "assistant", "system", "developer")


def conversation_object(conversation: Conversation) -> JSON:
    """Return a conversation."""
    return {
        "id": conversation.pk,
        "object": "conversation",
        "created_at": int(conversation.created_at.timestamp()),
        "metadata": conversation.metadata,
    }


def messages_of(items: Any) -> list[JSON]:
    """Return the chat messages for items that a client sends, at most 20."""
    if items is None:
        return []
    of_type(list)("items", items)
    if len(items) > MAX_ITEMS:
        raise invalid("items", f"expected at most {MAX_ITEMS} items, but got {len(items)}")
    return [_message(f"items[{at}]", item) for at, item in enumerate(items)]


def _message(where: str, item: Any) -> JSON:
    of_type(dict)(where, item)
    kind = item.get("type") or "message"
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise invalid(f"{where}.type", f"supported values are {', '.join(map(repr, _READERS))}")
    return reader(where, item)


def _text_message(where: str, item: JSON) -> JSON:
    role = item.get("role")
    if role is None:
        raise missing(f"{where}.role")
    one_of(ROLES)(f"{where}.role", role)
    content = item.get("content")
    if isinstance(content, str):
        return {"role": role, "content": content}
    if not isinstance(content, list):
        raise (
            missing(f"{where}.content")
            if content is None
            else wrong_type(f"{where}.content", "a string", content)
        )
    parts = [_part(f"{where}.content[{at}]", part) for at, part in enumerate(content)]
    if all(part["type"] == "text" for part in parts):
        return {"role": role, "content": "".join(part["text"] for part in parts)}
    return {"role": role, "content": parts}


def _part(where: str, part: Any) -> JSON:
    of_type(dict)(where, part)
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        of_type(str)(f"{where}.text", part.get("text"))
        return {"type": "text", "text": part["text"]}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        detail = {"detail": part["detail"]} if isinstance(part.get("detail"), str) else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
    if kind == "refusal":
        of_type(str)(f"{where}.refusal", part.get("refusal"))
        return {"type": "refusal", "refusal": part["refusal"]}
    raise invalid(
        f"{where}.type", "supported values are 'input_text', 'output_text', 'input_image', 'refusal'"
    )


def _function_call(where: str, item: JSON) -> JSON:
    for name in ("call_id", "name", "arguments"):
        of_type(str)(f"{where}.{name}", item.get(name))
    function = {"name": item["name"], "arguments": item["arguments"]}
    call = {"id": item["call_id"], "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _function_output(where: str, item: JSON) -> JSON:
    of_type(str)(f"{where}.call_id", item.get("call_id"))
    output = item.get("output")
    if isinstance(output, list):
        output = "".join(
            _part(f"{where}.output[{at}]", part).get("text", "") for at, part in enumerate(output)
        )
    of_type(str)(f"{where}.output", output)
    return {"role": "tool", "tool_call_id": item["call_id"], "content": output}


_READERS: dict[str, Callable[[str, JSON], JSON]] = {
    "message": _text_message,
    "function_call": _function_call,
    "function_call_output": _function_output,
}


def item_objects(item: Item) -> list[JSON]:
    """Return a stored message as items: the message, and each of its tool calls."""
    message = item.message
    if message["role"] in ("tool", "function"):
        output = message.get("content")
        return [
            {
                "id": item.pk,
                "type": "function_call_output",
                "call_id": str(message.get("tool_call_id") or message.get("name") or ""),
                "output": output if isinstance(output, str) else "".join(_texts(output)),
                "status": "completed",
            }
        ]
    objects: list[JSON] = []
    calls = message.get("tool_calls") or ()
    if message.get("content") or message.get("refusal") or not calls:
        objects.append(
            {
                "id": item.pk,
                "type": "message",
                "status": "completed",
                "role": message["role"],
                "content": _content(message),
            }
        )
    for at, call in enumerate(calls):
        function = call.get("function") or {}
        objects.append(
            {
                "id": f"{item.pk}-{at}" if objects else item.pk,
                "type": "function_call",
                "call_id": call["id"],
                "name": str(function.get("name", "")),
                "arguments": str(function.get("arguments", "")),
                "status": "completed",
            }
        )
    return objects


def message_id(item_id: str) -> str:
    """Return the id of the message that an item is, or is a part of, if there is one."""
    # PostgreSQL refuses NUL characters in parameters.
    return "" if "\0" in item_id else item_id.partition("-")[0]


def _texts(content: Any) -> list[str]:
    return [part["text"] for part in content or () if isinstance(part.get("text"), str)]


def _content(message: JSON) -> list[JSON]:
    written = message["role"] == "assistant"
    content = message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    built = [_content_part(part, written=written) for part in parts]
    if message.get("refusal"):
        built.append({"type": "refusal", "refusal": message["refusal"]})
    built = [part for part in built if part]
    if message.get("citations") and built and built[0]["type"] == "output_text":
        built[0]["annotations"] = _file_citations(message["citations"])
    return built


def _file_citations(citations: list[JSON]) -> list[JSON]:
    """Return the files that a message cites, each once, as the Responses API writes them."""
    names = {citation["file_id"]: citation["filename"] for citation in citations}
    return [
        {"type": "file_citation", "file_id": file_id, "filename": filename, "index": at}
        for at, (file_id, filename) in enumerate(names.items())
    ]


def _content_part(part: JSON, *, written: bool) -> JSON:
    kind = part.get("type")
    if kind == "text" and written:
        return {"type": "output_text", "text": part["text"], "annotations": [], "logprobs": []}
    if kind == "text":
        return {"type": "input_text", "text": part["text"]}
    if kind == "image_url":
        image = part["image_url"]
        return {"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail", "auto")}
    if kind == "refusal":
        return {"type": "refusal", "refusal": part["refusal"]}
    return {}
