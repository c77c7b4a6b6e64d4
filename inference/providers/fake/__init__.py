"""The fake provider: answers every operation without a network, to try keys, limits and clients."""

from inference.providers.fake.adapter import Fake

__all__ = ["Fake"]
