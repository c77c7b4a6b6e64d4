"""A provider that answers whatever it is asked in the way of the route, with canaries in every field."""

import json
import re
from typing import Any

from tests import answers
from tests.e2e.routes import CALLING, EMBEDDED, MODERATION, RANKED
from tests.upstream import Wire

TRANSCRIPT_TEXT = b"1\n00:00:00,000 --> 00:00:01,000\nA clean sentence.\n"


#: Routes that answer with as much as was put in: the field that holds it, and an answer to one input.
MANY = {
    "/embeddings": ("data", {"data": [EMBEDDED], "usage": {"prompt_tokens": 1, "total_tokens": 1}}),
    "/moderations": ("results", MODERATION),
}


def asked(wire: Wire) -> dict[str, Any]:
    """The parameters of a request, of a JSON body or of a form; repeated fields of a form as a list."""
    body = wire.received.body
    if not (wire.received.header("content-type") or "").startswith("multipart/"):
        return wire.received.json
    found: dict[str, Any] = {}
    for part in re.split(rb"\r?\n?--[^\r\n]+(?:\r\n|--\r\n$)", body):
        head, _, value = part.partition(b"\r\n\r\n")
        if name := re.search(rb'name="([^"]*)"', head):
            value = value.decode(errors="replace") if b"filename=" not in head else value
            name = name[1].decode()
            found[name] = value if name not in found else [*_listed(found[name]), value]
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


async def obliging(wire: Wire) -> None:
    """Play a stream where one is asked for, text where a transcript is to be text, else a whole answer."""
    given = asked(wire)
    path = wire.received.path.removeprefix("/v1")
    streamed = given.get("stream") in (True, "true") or given.get("stream_format") == "sse"
    if (
        path.startswith("/audio/tran")
        and not streamed
        and given.get("response_format") in ("text", "srt", "vtt")
    ):
        await answers.answer(TRANSCRIPT_TEXT, content_type="text/plain")(wire)
        return
    if path in MANY:
        field, whole = MANY[path]
        found = given["input"] if isinstance(given["input"], list) else [given["input"]]
        count = 1 if isinstance(found[0], int | dict) else len(found)
        await answers.answer({**whole, field: whole[field] * count})(wire)
        return
    if path == "/rerank":
        results = [{**RANKED, "index": index} for index in range(len(given["documents"]))]
        await answers.answer({"results": results, "usage": {"total_tokens": 3}})(wire)
        return
    plays = {route.how: route.play for route in CALLING if route.path == path}
    if streamed and "stream" not in plays and path == "/images/edits":
        event = {"b64_json": "AAAA", "created_at": 1, "size": "1", "quality": "high", "background": "opaque",
                 "output_format": "png", "type": "image_edit.completed"}  # fmt: skip
        await answers.stream(event, done=False)(wire)
        return
    await plays["stream" if streamed and "stream" in plays else ""](wire)


def curl(command: str) -> dict[str, Any]:
    """What a curl command of ours sends, as the arguments of `httpx.Client.request`."""
    import shlex

    words = iter(shlex.split(command.replace("\\\n", " ")))
    assert next(words) == "curl"
    sent: dict[str, Any] = {"method": "", "headers": {}, "data": {}, "files": []}
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            sent["headers"][name] = value
        elif word == "-d":
            sent["content"] = next(words)
            json.loads(sent["content"])
        elif word == "-F":
            name, _, value = next(words).partition("=")
            if value.startswith("@"):
                sent["files"].append((name, (value[1:], b"RIFF" + bytes(64))))
            else:
                sent["data"][name] = value
        elif word == "-X":
            sent["method"] = next(words)
        elif word == "-o":
            next(words)
        else:
            assert not word.startswith("-"), word
            sent["url"] = word
    sends = "content" in sent or sent["files"]
    sent["method"] = sent["method"] or ("POST" if sends else "GET")
    return {name: value for name, value in sent.items() if value}
