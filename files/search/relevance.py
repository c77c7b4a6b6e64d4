"""How relevant a passage is: a number that can be compared between questions, for a cut-off.

By vectors it is where the cosine lies between two that the embedding entry names: that of texts which have nothing
to do with each other, and that of a question and its answer. By words alone it is the share of the question that
stands in the passage, each word by its weight; a passage that has six tenths of it is as relevant as any.
"""

#: The share of a question's words that stands for relevance 1.
WHOLE = 0.6


def relevance(similarity: float | None, scale: tuple[float, float], coverage: float | None) -> float:
    """Return 0 to 1.

    Args:
        similarity: the cosine of the angle between the question's vector and the passage's; None without vectors.
        scale: the similarities that stand for 0 and for 1.
        coverage: the share of the question's words, by weight, that stand in the passage; None without words.
    """
    if similarity is None:
        found = (coverage or 0.0) / WHOLE
    else:
        unrelated, related = scale
        found = (similarity - unrelated) / (related - unrelated)
    return min(1.0, max(0.0, found))
