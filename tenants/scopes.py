"""The scopes of keys, and the presets that operators choose them from.

To add a scope, add a row to ``_SCOPES``; to add a preset, add a row to ``_PRESETS``.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """A permission of a key: its name, a description, and the scopes that it includes."""

    name: str
    description: str
    implies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preset:
    """A named set of scopes for a kind of client."""

    slug: str
    label: str
    scopes: tuple[str, ...]


_SCOPES = (
    Scope("models:read", "List the models that the key may call"),
    Scope("inference:chat", "Chat completions and completions"),
    Scope("inference:embed", "Embeddings"),
    Scope("inference:transcribe", "Audio transcriptions and translations"),
    Scope("inference:speech", "Speech from text"),
    Scope("inference:image", "Images"),
    Scope("inference:moderate", "Moderations"),
    Scope("inference:rerank", "Documents ordered by relevance"),
    Scope("conversations:write", "Conversations stored by the gateway"),
    Scope("files:read", "Read files and their state"),
    Scope("files:write", "Upload and delete files", implies=("files:read",)),
    Scope("datasets:read", "Read and search datasets"),
    Scope("datasets:write", "Create, change and delete datasets", implies=("datasets:read",)),
)
SCOPES: dict[str, Scope] = {scope.name: scope for scope in _SCOPES}

_INFERENCE = tuple(name for name in SCOPES if name.startswith("inference:"))
_PRESETS = (
    Preset("openai-chat-client", "OpenAI-compatible chat client", ("models:read", "inference:chat")),
    Preset("openai-full-client", "OpenAI-compatible full client", ("models:read", *_INFERENCE)),
    Preset(
        "chat-with-uploads",
        "Chat client with conversations and uploads",
        ("models:read", "inference:chat", "conversations:write", "files:write"),
    ),
    Preset("dataset-uploader", "Dataset uploader", ("files:write", "datasets:read")),
    Preset("embeddings-client", "Embeddings client", ("models:read", "inference:embed")),
    Preset(
        "voice-client",
        "Voice client",
        ("models:read", "inference:chat", "inference:transcribe", "inference:speech"),
    ),
    Preset("everything", "Everything", tuple(SCOPES)),
)
PRESETS: dict[str, Preset] = {preset.slug: preset for preset in _PRESETS}
#: The preset that is selected for a new key.
DEFAULT_PRESET = "openai-chat-client"


def unknown_scopes(names: Iterable[str]) -> list[str]:
    """Return the names that are not scopes, in order."""
    return [name for name in names if name not in SCOPES]


def expand(names: Iterable[str]) -> frozenset[str]:
    """Return the scopes and all scopes that they include."""
    expanded: set[str] = set()
    todo = [name for name in names if name in SCOPES]
    while todo:
        name = todo.pop()
        if name not in expanded:
            expanded.add(name)
            todo.extend(SCOPES[name].implies)
    return frozenset(expanded)
