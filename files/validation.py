"""Validation of request fields of files and datasets: attributes, chunking and expiry."""

from datetime import timedelta
from typing import Any

from gtapi.json_types import JSON
from gtapi.validation import (
    MAX_PAIR_NAME,
    MAX_PAIR_VALUE,
    MAX_PAIRS,
    integer,
    invalid,
    missing,
    of_type,
    one_of,
    wrong_type,
)
from gtapi.web.multipart import MultipartForm

#: Default tokens of a chunk, and of its overlap with the next one.
CHUNK_TOKENS = 400
CHUNK_OVERLAP = 50
MIN_CHUNK_TOKENS = 100
MAX_CHUNK_TOKENS = 4096
#: Limits of a file's expiry, in seconds.
MIN_FILE_SECONDS = 3_600
MAX_FILE_SECONDS = 2_592_000
#: Most days without activity after which a dataset may expire.
MAX_DATASET_DAYS = 365


def check_attributes(attributes: Any, name: str = "attributes") -> JSON:
    """Return a file's attributes: up to 16 pairs, whose values are strings, numbers or booleans."""
    if attributes is None:
        return {}
    of_type(dict)(name, attributes)
    if len(attributes) > MAX_PAIRS:
        raise invalid(name, f"expected at most {MAX_PAIRS} pairs, but got {len(attributes)}")
    for key, value in attributes.items():
        if not isinstance(value, str | int | float):
            raise wrong_type(f"{name}.{key}", "a string, a number or a boolean", value)
        if len(key) > MAX_PAIR_NAME or (isinstance(value, str) and len(value) > MAX_PAIR_VALUE):
            raise invalid(
                name, f"a name has at most {MAX_PAIR_NAME} characters, a text at most {MAX_PAIR_VALUE}"
            )
    return dict(attributes)


def check_chunking(strategy: Any, name: str = "chunking_strategy") -> JSON | None:
    """Return a chunking strategy as ``DatasetFile.chunking`` stores it; None means the default.

    It is OpenAI's object: ``{"type": "static", "static": {"max_chunk_size_tokens", "chunk_overlap_tokens"}}``.
    """
    if strategy is None:
        return None
    of_type(dict)(name, strategy)
    if strategy.get("type") is None:
        raise missing(f"{name}.type")
    one_of(("auto", "static"))(f"{name}.type", strategy["type"])
    if strategy["type"] == "auto":
        return None
    static = strategy.get("static")
    of_type(dict)(f"{name}.static", static)
    sizes = {}
    for field, least, most in (
        ("max_chunk_size_tokens", MIN_CHUNK_TOKENS, MAX_CHUNK_TOKENS),
        ("chunk_overlap_tokens", 0, MAX_CHUNK_TOKENS // 2),
    ):
        if static.get(field) is None:
            raise missing(f"{name}.static.{field}")
        integer(least, most)(f"{name}.static.{field}", static[field])
        sizes[field] = static[field]
    if sizes["chunk_overlap_tokens"] * 2 > sizes["max_chunk_size_tokens"]:
        raise invalid(
            f"{name}.static.chunk_overlap_tokens", "it is more than half of 'max_chunk_size_tokens'"
        )
    return {"type": "static", "static": sizes}


def check_file_expiry(form: MultipartForm) -> timedelta | None:
    """Return how long after its upload a file expires; None means never.

    OpenAI's form fields are ``expires_after[anchor]``, which is always ``created_at``, and
    ``expires_after[seconds]``.
    """
    if "expires_after" not in form.names():
        return None
    anchor = form.get("expires_after[anchor]")
    if not anchor:
        raise missing("expires_after[anchor]")
    one_of(("created_at",))("expires_after[anchor]", anchor)
    seconds = form.integer("expires_after[seconds]", MIN_FILE_SECONDS, MAX_FILE_SECONDS)
    if seconds is None:
        raise missing("expires_after[seconds]")
    return timedelta(seconds=seconds)


def refuse_file_expiry(form: MultipartForm) -> None:
    """Refuse the expiry of a file that is uploaded into a dataset or a conversation."""
    if "expires_after" in form.names():
        raise invalid("expires_after", "only files uploaded by POST /files can expire")


def check_dataset_expiry(expires_after: Any) -> timedelta | None:
    """Return how long after its last activity a dataset expires; None means never.

    It is OpenAI's object: ``{"anchor": "last_active_at", "days"}``.
    """
    if expires_after is None:
        return None
    of_type(dict)("expires_after", expires_after)
    for field, check in (("anchor", one_of(("last_active_at",))), ("days", integer(1, MAX_DATASET_DAYS))):
        if expires_after.get(field) is None:
            raise missing(f"expires_after.{field}")
        check(f"expires_after.{field}", expires_after[field])
    return timedelta(days=expires_after["days"])


def chunking_object(chunking: JSON | None) -> JSON:
    """Return a chunking strategy in OpenAI's schema."""
    return chunking or {
        "type": "static",
        "static": {"max_chunk_size_tokens": CHUNK_TOKENS, "chunk_overlap_tokens": CHUNK_OVERLAP},
    }
