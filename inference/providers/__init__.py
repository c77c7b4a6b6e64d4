"""Adapters: how the gateway speaks to each kind of provider. A new kind is one module and one row here.

A provider with OpenAI's API needs no code: it is a row of the database with the kind ``openai_compatible``.
"""

from inference.providers.base import Adapter
from inference.providers.fake import Fake
from inference.providers.openai_compatible import OpenAICompatible

ADAPTERS: dict[str, Adapter] = {
    "openai_compatible": OpenAICompatible(),
    "fake": Fake(),
}
