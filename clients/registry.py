"""The registry of tested clients. A new client is a row here and a file of checks in `checks/`.

`make clients ARGS="--lock --only NAME"` then writes its lock file.
"""

from dataclasses import dataclass

#: Each route or behaviour that is tested, with its description, in the order of the report.
ROUTES = {
    "models": "`GET /models`, `GET /models/{id}`",
    "chat": "`POST /chat/completions`, not streamed",
    "chat stream": "`POST /chat/completions` with `stream`",
    "tools": "tool calls: whole, streamed, in parallel, and sent back with their results",
    "structured": "structured output: a JSON schema, or the client's equivalent",
    "embeddings": "`POST /embeddings`",
    "completions": "`POST /completions`, whole and streamed",
    "transcriptions": "`POST /audio/transcriptions`",
    "translations": "`POST /audio/translations`",
    "speech": "`POST /audio/speech`",
    "images": "`POST /images/generations`, `/images/edits` and `/images/variations`",
    "moderations": "`POST /moderations`",
    "conversations": "`/conversations` and their items, and chats that continue one (`X-GT-Conversation-Id`)",
    "files": "`POST /files`, their list, `GET`, content and `DELETE`; `POST /conversations/files`",
    "vector stores": "`/vector_stores`, their files, batches of files, and search",
    "datasets": "`/datasets`, `POST /datasets/{id}/files`, `GET /files/{id}` until it is ready, and search",
    "errors": "400, 401, 403, 404, 429, 5xx and broken streams as the client's own errors",
    "retries": "retries after a 429, and not before `retry-after` has passed",
    "timeouts": "the client's own timeout, and the gateway's, which is a 504",
}


@dataclass(frozen=True, slots=True)
class Client:
    """A client to test.

    ``packages`` are pinned; the first one gives the client its version. ``script`` contains its checks. With
    ``node``, a version of Node.js, the packages come from npm, otherwise from PyPI. A client without packages is a
    program of the operating system.
    """

    name: str
    title: str
    script: str
    packages: tuple[str, ...] = ()
    node: str = ""


_CLIENTS = (
    Client("curl", "curl", "curl_cli.py"),
    Client("openai-python-2", "openai (Python) 2", "openai_python.py", ("openai==2.54.0",)),
    Client("openai-python-3", "openai (Python) 3", "openai_python.py", ("openai==3.54.0",)),
    Client("openai-node-6", "openai (Node) 6", "openai_node.mjs", ("openai@6.49.0", "zod@4.6.7"), "20.20.2"),
    Client("openai-node-7", "openai (Node) 7", "openai_node.mjs", ("openai@7.57.0", "zod@4.6.7"), "22.23.3"),
    Client(
        "vercel-ai",
        "Vercel AI SDK",
        "vercel_ai.mjs",
        ("ai@7.0.173", "@ai-sdk/openai-compatible@3.0.92", "zod@4.6.7"),
        "22.23.3",
    ),
    Client("langchain-openai", "langchain-openai", "langchain_client.py", ("langchain-openai==1.7.3",)),
    Client(
        "llama-index",
        "LlamaIndex",
        "llama_index_client.py",
        ("llama-index-llms-openai-like==0.8.1", "llama-index-embeddings-openai-like==0.4.0"),
    ),
    Client("instructor", "instructor", "instructor_client.py", ("instructor==1.17.0", "openai==2.54.0")),
    Client("pydantic-ai", "Pydantic AI", "pydantic_ai_client.py", ("pydantic-ai-slim[openai]==2.68.0",)),
    Client("openai-agents", "OpenAI Agents SDK", "openai_agents_client.py", ("openai-agents==0.24.0",)),
    # Without the extra it cannot send tools.
    Client("litellm", "LiteLLM", "litellm_client.py", ("litellm[mcp]==1.106.2",)),
    Client("llm", "llm", "llm_cli.py", ("llm==0.36",)),
    Client("aider", "aider", "aider_cli.py", ("aider-chat==0.86.2",)),
)
CLIENTS: dict[str, Client] = {client.name: client for client in _CLIENTS}
