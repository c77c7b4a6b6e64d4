"""The admin of providers, catalog, agents and keys, and the dashboard."""

from inference.admin import agents, catalog, keys, providers

__all__ = ["agents", "catalog", "keys", "providers"]
