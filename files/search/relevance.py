"""The relevance of a search result, comparable between queries, for use as a threshold.

With vectors it is the cosine similarity, scaled between two values of the embedding model: the similarity of
unrelated texts, and that of a question and its answer. With full-text search only it is the coverage: the share of
the query's terms, by weight, that the chunk contains; six tenths count as full relevance.
"""

#: The coverage that counts as relevance 1.
FULL_COVERAGE = 0.6


def relevance(similarity: float | None, scale: tuple[float, float], coverage: float | None) -> float:
    """Return the relevance, 0 to 1.

    Args:
        similarity: the cosine similarity of query and chunk; None without vectors.
        scale: the similarities that count as 0 and as 1.
        coverage: the share of the query's terms, by weight, in the chunk; None without terms.
    """
    if similarity is None:
        value = (coverage or 0.0) / FULL_COVERAGE
    else:
        unrelated, related = scale
        value = (similarity - unrelated) / (related - unrelated)
    return min(1.0, max(0.0, value))
