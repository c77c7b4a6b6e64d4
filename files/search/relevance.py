"""How relevant a passage is: a number that can be compared between questions, for a cut-off."""


def relevance(similarity: float | None, coverage: float | None) -> float:
    """Return 0 to 1.

    Args:
        similarity: the cosine of the angle between the question's vector and the passage's; None without vectors.
        coverage: the share of the question's words, by weight, that stand in the passage; None without words.
    """
    return min(1.0, max(0.0, similarity or 0.0, coverage or 0.0))
