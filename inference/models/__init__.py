"""The tables of this app: what is published over providers, and the conversations that clients have with it."""

from inference.models.agents import PASSAGE_TOKENS, PASSAGES, Agent, AgentContent, AgentVersion
from inference.models.catalog import Capability, CatalogEntry
from inference.models.conversations import Conversation, Item, Turn
from inference.models.explanations import ExplainedText, Explanation
from inference.models.grants import Grant
from inference.models.providers import HEADER_NAME, RESERVED_HEADERS, Provider, check_base_url
from inference.models.targets import NAME, InferenceTarget

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
