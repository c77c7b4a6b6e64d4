"""The tables of this app: what is published over providers, and the conversations that clients have with it."""

from inference.models.conversations import Conversation, Item, Turn
from inference.models.explanations import ExplainedText, Explanation
from inference.models.targets import (
    HEADER_NAME,
    NAME,
    PASSAGE_TOKENS,
    PASSAGES,
    RESERVED_HEADERS,
    Agent,
    AgentContent,
    AgentVersion,
    Capability,
    CatalogEntry,
    Grant,
    InferenceTarget,
    Provider,
    check_base_url,
)

__all__ = [
    "HEADER_NAME",
    "NAME",
    "PASSAGES",
    "PASSAGE_TOKENS",
    "RESERVED_HEADERS",
    "Agent",
    "AgentContent",
    "AgentVersion",
    "Capability",
    "CatalogEntry",
    "Conversation",
    "ExplainedText",
    "Explanation",
    "Grant",
    "InferenceTarget",
    "Item",
    "Provider",
    "Turn",
    "check_base_url",
]
