"""Adapters: how the gateway speaks to each kind of provider. A new kind is one module and one line here.

An OpenAI-compatible provider needs no code: it is a row with the kind ``openai_compatible``.
"""

from inference.providers.base import Adapter
from inference.providers.openai_compatible import OpenAICompatible

ADAPTERS: dict[str, Adapter] = {
    "openai_compatible": OpenAICompatible(),
}
