"""Fake embeddings, moderations and rankings, made of the words of a text."""

import re
from math import sqrt
from typing import Any
from zlib import crc32

from gtapi.json_types import JSON
from inference.providers.fake.request import FakeRequest

CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent",
    "self-harm", "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence",
    "violence/graphic",
)  # fmt: skip


def embeddings(request: FakeRequest) -> JSON:
    """Return one vector of length 1 for each input. Texts that share words have similar vectors."""
    given = request.params.get("input")
    is_one = isinstance(given, str) or (isinstance(given, list) and isinstance(given[0], int))
    texts = [_text(item) for item in ([given] if is_one else given or ())]
    dimensions = min(request.number("dimensions", default=request.options.dimensions), 4096)
    tokens = sum(len(text.split()) for text in texts)
    data = [
        {"object": "embedding", "index": at, "embedding": vector(text, dimensions)}
        for at, text in enumerate(texts)
    ]
    return {"data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def vector(text: str, dimensions: int) -> list[float]:
    """Return a vector of length 1: each word adds to one of the numbers."""
    numbers = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()) or [text]:
        numbers[crc32(word.encode()) % dimensions] += 1
    length = sqrt(sum(number * number for number in numbers))
    return [number / length for number in numbers]


def moderations(request: FakeRequest) -> JSON:
    """Return one result for each text, or one for all parts together. A text that names a category is flagged."""
    given = request.params.get("input")
    if isinstance(given, list) and given and isinstance(given[0], str):
        texts = [str(text) for text in given]
    else:
        parts = given if isinstance(given, list) else [given]
        texts = [" ".join(str(p.get("text", "")) if isinstance(p, dict) else str(p) for p in parts)]
    return {"results": [_moderated(text.lower()) for text in texts]}


def rerank(request: FakeRequest) -> JSON:
    """Return the documents that share most words with the query first."""
    query, documents = (
        str(request.params.get("query")),
        [str(d) for d in request.params.get("documents") or ()],
    )
    dimensions = request.options.dimensions
    wanted = vector(query, dimensions)
    scores = [
        sum(one * other for one, other in zip(wanted, vector(document, dimensions), strict=True))
        for document in documents
    ]
    ranking = sorted(range(len(documents)), key=lambda index: -scores[index])
    words = sum(len(text.split()) for text in documents) + len(query.split()) * len(documents)
    return {
        "results": [
            {"index": index, "relevance_score": scores[index]}
            for index in ranking[: request.number("top_n", default=len(documents))]
        ],
        "usage": {"prompt_tokens": words, "total_tokens": words},
    }


def _moderated(text: str) -> JSON:
    flags = {name: name in text for name in CATEGORIES}
    return {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": {name: 0.99 if flag else 0.01 for name, flag in flags.items()},
        "category_applied_input_types": {name: ["text"] for name in flags},
    }


def _text(item: Any) -> str:
    """Return an input as a text; token ids become words."""
    return " ".join(map(str, item)) if isinstance(item, list) else str(item)
