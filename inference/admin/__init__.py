"""The admin of providers, catalog, agents, keys and conversations, and the dashboard."""

from inference.admin import agents, catalog, conversations, explanations, keys, providers

__all__ = ["agents", "catalog", "conversations", "explanations", "keys", "providers"]
