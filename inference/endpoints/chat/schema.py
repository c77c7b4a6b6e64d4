"""Schema of a chat request: OpenAI's chat/create."""

from typing import Any

from gtapi.validation import (
    Validator,
    integer,
    invalid,
    missing,
    number,
    of_type,
    one_of,
    validate,
    wrong_type,
)

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
#: What a part of each type has to hold, and as what. Types that are not here pass through.
_PARTS: dict[str, tuple[str, type]] = {
    "text": ("text", str),
    "refusal": ("refusal", str),
    "image_url": ("image_url", dict),
    "input_audio": ("input_audio", dict),
    "file": ("file", dict),
}
_TOOLS = {"function": "function", "custom": "custom"}
_FORMATS = ("text", "json_object", "json_schema", "grammar", "python")


def check_stop(name: str, value: Any) -> None:
    """Check for one stop sequence or up to four."""
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise wrong_type(name, "a string or an array of strings", value)
    if len(value) > 4:
        raise invalid(name, f"expected at most 4 sequences, but got {len(value)}")
    for index, item in enumerate(value):
        of_type(str)(f"{name}[{index}]", item)


def _tools(name: str, value: Any) -> None:
    of_type(list)(name, value)
    for index, tool in enumerate(value):
        where = f"{name}[{index}]"
        of_type(dict)(where, tool)
        if "type" not in tool:
            raise missing(f"{where}.type")
        key = _TOOLS.get(tool["type"]) if isinstance(tool["type"], str) else None
        if key is not None:
            _named(f"{where}.{key}", tool.get(key))


def _named(where: str, value: Any) -> None:
    """Check for an object with a name."""
    if value is None:
        raise missing(where)
    of_type(dict)(where, value)
    if not isinstance(value.get("name"), str) or not value["name"]:
        raise missing(f"{where}.name")


def _tool_choice(name: str, value: Any) -> None:
    if isinstance(value, str):
        one_of(("none", "auto", "required"))(name, value)
    elif not isinstance(value, dict):
        raise wrong_type(name, "a string or an object", value)
    elif "type" not in value:
        raise missing(f"{name}.type")


def _response_format(name: str, value: Any) -> None:
    of_type(dict)(name, value)
    kind = value.get("type")
    if kind is None:
        raise missing(f"{name}.type")
    one_of(_FORMATS)(f"{name}.type", kind)
    if kind == "json_schema":
        _named(f"{name}.json_schema", value.get("json_schema"))


def check_stream_options(name: str, value: Any) -> None:
    """Check the options of a stream."""
    of_type(dict)(name, value)
    for option in ("include_usage", "include_obfuscation"):
        if value.get(option) is not None:
            of_type(bool)(f"{name}.{option}", value[option])


_CHECKS: dict[str, Validator] = {
    "stream": of_type(bool),
    "stream_options": check_stream_options,
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "n": integer(1, 128),
    "max_tokens": integer(0),
    "max_completion_tokens": integer(0),
    "seed": integer(),
    "logprobs": of_type(bool),
    "top_logprobs": integer(0, 20),
    "logit_bias": of_type(dict),
    "stop": check_stop,
    "tools": _tools,
    "functions": of_type(list),
    "tool_choice": _tool_choice,
    "parallel_tool_calls": of_type(bool),
    "response_format": _response_format,
    "user": of_type(str),
    "metadata": of_type(dict),
    "modalities": of_type(list),
    "store": of_type(bool),
}


def check_chat(body: dict[str, Any]) -> None:
    """Refuse what OpenAI refuses in a chat request.

    Raises:
        BadRequest: naming the parameter.
    """
    messages = body.get("messages")
    if messages is None:
        raise missing("messages")
    of_type(list)("messages", messages)
    if not messages:
        raise invalid("messages", "expected at least one message")
    for index, message in enumerate(messages):
        _message(f"messages[{index}]", message)
    validate(_CHECKS, body)
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise invalid("top_logprobs", "it needs 'logprobs' to be true")
    if body.get("stream_options") is not None and not body.get("stream"):
        raise invalid("stream_options", "it is only allowed when 'stream' is true")


def _message(where: str, message: Any) -> None:
    of_type(dict)(where, message)
    role = message.get("role")
    if role is None:
        raise missing(f"{where}.role")
    one_of(ROLES)(f"{where}.role", role)
    content = message.get("content")
    if isinstance(content, list):
        for index, part in enumerate(content):
            _part(f"{where}.content[{index}]", part)
    elif content is None:
        if role not in ("assistant", "function"):
            raise missing(f"{where}.content")
    elif not isinstance(content, str):
        raise wrong_type(f"{where}.content", "a string or an array of parts", content)
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise missing(f"{where}.tool_call_id")
    if message.get("tool_calls") is not None:
        _tool_calls(f"{where}.tool_calls", message["tool_calls"])


def _part(where: str, part: Any) -> None:
    of_type(dict)(where, part)
    kind = part.get("type")
    if not isinstance(kind, str):
        raise missing(f"{where}.type")
    if kind in _PARTS:
        field, expected = _PARTS[kind]
        if field not in part:
            raise missing(f"{where}.{field}")
        of_type(expected)(f"{where}.{field}", part[field])


def _tool_calls(where: str, calls: Any) -> None:
    of_type(list)(where, calls)
    for index, call in enumerate(calls):
        of_type(dict)(f"{where}[{index}]", call)
        if not isinstance(call.get("id"), str):
            raise missing(f"{where}[{index}].id")
        function = call.get("function")
        if function is not None:
            _named(f"{where}[{index}].function", function)
            of_type(str)(f"{where}[{index}].function.arguments", function.get("arguments", ""))
