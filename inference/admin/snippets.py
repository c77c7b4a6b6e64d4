"""Requests that work as they stand, for whoever gets a new key."""

import json
from dataclasses import dataclass
from typing import Any

from inference.policy import report
from tenants.models import InferenceKey
from tenants.scopes import expand


@dataclass(frozen=True, slots=True)
class Snippet:
    """A program, its language's name, and what the page calls it in its addresses."""

    slug: str
    label: str
    code: str


@dataclass(frozen=True, slots=True)
class Example:
    """What the snippets do: a call to ``model`` on the endpoint ``call``, which is empty for a list of models."""

    call: str
    model: str = ""


def example_for(key: InferenceKey) -> Example | None:
    """Return a call that the key may make, a chat if it may chat; None where it may call nothing yet."""
    allowed = [
        (endpoint.name, row.target.name)
        for row in report(key)
        for endpoint, verdict in row.verdicts
        if verdict.allowed
    ]
    for call in ("chat", "embed"):
        for name, model in allowed:
            if name == call:
                return Example(call, model)
    return Example("") if "models:read" in expand(key.scopes) else None


def snippets(base_url: str, plain: str, example: Example) -> list[Snippet]:
    """Return the example for curl and for both of the official SDKs."""
    return [
        Snippet("curl", "curl", _curl(base_url, plain, example)),
        Snippet("python", "openai-python", _python(base_url, plain, example)),
        Snippet("node", "openai-node", _node(base_url, plain, example)),
    ]


def _curl(base_url: str, plain: str, example: Example) -> str:
    authorization = f'-H "Authorization: Bearer {plain}"'
    if not example.call:
        return f"curl {base_url}/v1/models \\\n  {authorization}"
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "chat": ("chat/completions", {"messages": [{"role": "user", "content": "Hello!"}]}),
        "embed": ("embeddings", {"input": "Hello!"}),
    }
    path, body = calls[example.call]
    data = json.dumps({"model": example.model, **body})
    return (
        f"curl {base_url}/v1/{path} \\\n  {authorization} \\\n"
        f"  -H \"Content-Type: application/json\" \\\n  -d '{data}'"
    )


def _python(base_url: str, plain: str, example: Example) -> str:
    head = (
        "from openai import OpenAI\n\n"
        f"client = OpenAI(\n    base_url={json.dumps(base_url)},\n    api_key={json.dumps(plain)},\n)\n"
    )
    model = json.dumps(example.model)
    return (
        head
        + {
            "": "for model in client.models.list():\n    print(model.id)",
            "chat": (
                f"answer = client.chat.completions.create(\n    model={model},\n"
                '    messages=[{"role": "user", "content": "Hello!"}],\n)\n'
                "print(answer.choices[0].message.content)"
            ),
            "embed": (
                f'answer = client.embeddings.create(model={model}, input="Hello!")\n'
                "print(len(answer.data[0].embedding))"
            ),
        }[example.call]
    )


def _node(base_url: str, plain: str, example: Example) -> str:
    head = (
        'import OpenAI from "openai";\n\n'
        f"const client = new OpenAI({{\n  baseURL: {json.dumps(base_url)},\n  apiKey: {json.dumps(plain)},\n}});\n"
    )
    model = json.dumps(example.model)
    return (
        head
        + {
            "": "for await (const model of client.models.list()) console.log(model.id);",
            "chat": (
                f"const answer = await client.chat.completions.create({{\n  model: {model},\n"
                '  messages: [{ role: "user", content: "Hello!" }],\n});\n'
                "console.log(answer.choices[0].message.content);"
            ),
            "embed": (
                f'const answer = await client.embeddings.create({{ model: {model}, input: "Hello!" }});\n'
                "console.log(answer.data[0].embedding.length);"
            ),
        }[example.call]
    )
