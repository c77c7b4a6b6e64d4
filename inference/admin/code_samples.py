"""Code samples for a new key: complete requests in curl, Python and Node."""

import json
from dataclasses import dataclass
from typing import Any

from inference.policy import report
from tenants.models import InferenceKey
from tenants.scopes import expand


@dataclass(frozen=True, slots=True)
class CodeSample:
    """A program, its label, and a slug for the ids of its elements."""

    slug: str
    label: str
    code: str


@dataclass(frozen=True, slots=True)
class SampleCall:
    """How one endpoint is called in each language; ``MODEL`` in a text is the model's name, quoted.

    ``body`` holds the parameters besides the model, sent as JSON, or as form fields if ``form``.
    """

    path: str
    body: dict[str, Any]
    python: str
    node: str
    form: bool = False
    output: str = ""


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """What the code samples do: a call to ``model`` on an endpoint; without both, a list of the models."""

    call: str = ""
    model: str = ""


#: In the order in which they are preferred.
CALLS: dict[str, SampleCall] = {
    "chat": SampleCall(
        "chat/completions",
        {"messages": [{"role": "user", "content": "Hello!"}]},
        "answer = client.chat.completions.create(\n    model=MODEL,\n"
        '    messages=[{"role": "user", "content": "Hello!"}],\n)\n'
        "print(answer.choices[0].message.content)",
        "const answer = await client.chat.completions.create({\n  model: MODEL,\n"
        '  messages: [{ role: "user", content: "Hello!" }],\n});\n'
        "console.log(answer.choices[0].message.content);",
    ),
    "embeddings": SampleCall(
        "embeddings",
        {"input": "Hello!"},
        'answer = client.embeddings.create(model=MODEL, input="Hello!")\nprint(answer.data[0].embedding)',
        'const answer = await client.embeddings.create({ model: MODEL, input: "Hello!" });\n'
        "console.log(answer.data[0].embedding);",
    ),
    "speech": SampleCall(
        "audio/speech",
        {"input": "Hello!", "voice": "alloy"},
        'speech = client.audio.speech.create(model=MODEL, voice="alloy", input="Hello!")\n'
        'speech.write_to_file("hello.mp3")',
        'import { writeFile } from "node:fs/promises";\n\n'
        'const speech = await client.audio.speech.create({ model: MODEL, voice: "alloy", input: "Hello!" });\n'
        'await writeFile("hello.mp3", Buffer.from(await speech.arrayBuffer()));',
        output="hello.mp3",
    ),
    "transcriptions": SampleCall(
        "audio/transcriptions",
        {"file": "@hello.mp3"},
        'with open("hello.mp3", "rb") as sound:\n'
        "    answer = client.audio.transcriptions.create(model=MODEL, file=sound)\nprint(answer.text)",
        'import { createReadStream } from "node:fs";\n\n'
        "const answer = await client.audio.transcriptions.create({\n  model: MODEL,\n"
        '  file: createReadStream("hello.mp3"),\n});\nconsole.log(answer.text);',
        form=True,
    ),
    "image_generations": SampleCall(
        "images/generations",
        {"prompt": "A lighthouse at dawn"},
        'answer = client.images.generate(model=MODEL, prompt="A lighthouse at dawn")\nprint(answer.data[0])',
        'const answer = await client.images.generate({ model: MODEL, prompt: "A lighthouse at dawn" });\n'
        "console.log(answer.data[0]);",
    ),
    "moderations": SampleCall(
        "moderations",
        {"input": "Hello!"},
        'answer = client.moderations.create(model=MODEL, input="Hello!")\nprint(answer.results[0].flagged)',
        'const answer = await client.moderations.create({ model: MODEL, input: "Hello!" });\n'
        "console.log(answer.results[0].flagged);",
    ),
    # The SDKs have no method for it.
    "rerank": SampleCall(
        "rerank",
        {"query": "Hello!", "documents": ["Good morning!", "Good-bye!"]},
        'body = {"model": MODEL, "query": "Hello!", "documents": ["Good morning!", "Good-bye!"]}\n'
        'answer = client.post("/rerank", body=body, cast_to=object)\nprint(answer["results"])',
        'const body = { model: MODEL, query: "Hello!", documents: ["Good morning!", "Good-bye!"] };\n'
        'const answer = await client.post("/rerank", { body });\nconsole.log(answer.results);',
    ),
}
LIST = SampleCall(
    "models",
    {},
    "for model in client.models.list():\n    print(model.id)",
    "for await (const model of client.models.list()) console.log(model.id);",
)


def sample_for(key: InferenceKey) -> SampleRequest | None:
    """Return a call that the key may make, with an agent rather than a bare model, and a chat if it may chat.

    None where the key may call nothing at all.
    """
    allowed = [
        (endpoint.name, row.target.name)
        for row in sorted(report(key), key=lambda row: row.target.kind != "agent")
        for endpoint, verdict in row.verdicts
        if verdict.allowed
    ]
    for call in CALLS:
        for name, model in allowed:
            if name == call:
                return SampleRequest(call, model)
    return SampleRequest() if "models:read" in expand(key.scopes) else None


def code_samples(base_url: str, plain: str, example: SampleRequest) -> list[CodeSample]:
    """Return a request for curl and for both official SDKs."""
    call = CALLS.get(example.call, LIST)
    model = json.dumps(example.model)
    url, key = json.dumps(base_url), json.dumps(plain)
    python = f"from openai import OpenAI\n\nclient = OpenAI(\n    base_url={url},\n    api_key={key},\n)\n"
    node = (
        'import OpenAI from "openai";\n\n'
        f"const client = new OpenAI({{\n  baseURL: {url},\n  apiKey: {key},\n}});\n"
    )
    return [
        CodeSample("curl", "curl", _curl(base_url, plain, call, example.model)),
        CodeSample("python", "openai-python", python + call.python.replace("MODEL", model)),
        CodeSample("node", "openai-node", node + call.node.replace("MODEL", model)),
    ]


def _curl(base_url: str, plain: str, call: SampleCall, model: str) -> str:
    parts = [f"curl {base_url}/v1/{call.path}", f'-H "Authorization: Bearer {plain}"']
    if call.form:
        parts += [f"-F {name}={value}" for name, value in {"model": model, **call.body}.items()]
    elif call.body:
        data = json.dumps({"model": model, **call.body})
        parts += ['-H "Content-Type: application/json"', f"-d '{data}'"]
    if call.output:
        parts.append(f"-o {call.output}")
    return " \\\n  ".join(parts)
