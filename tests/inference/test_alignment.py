"""How what a client resends is found in a thread, compared with looking at every place."""

import random

from inference.chat.alignment import align

JSON = dict[str, object]


def looked_at_everywhere(thread: list[JSON], resent: list[JSON]) -> tuple[int, list[JSON]]:
    """All of it at its last place; else its longest beginning, at the first place that has it."""
    if not resent:
        return len(thread), []
    for start in range(len(thread) - len(resent), -1, -1):
        if thread[start : start + len(resent)] == resent:
            return start + len(resent), []
    best, stands = 0, 0
    for start in range(len(thread)):
        agreed = 0
        while agreed < len(resent) and thread[start : start + agreed + 1] == resent[: agreed + 1]:
            agreed += 1
        if agreed > best:
            best, stands = agreed, start + agreed
    return stands, resent[best:]


def said(texts: str) -> list[JSON]:
    return [{"role": "user", "content": text} for text in texts]


def test_alignment_equals_exhaustive_search():
    draw = random.Random(7)
    outcomes = set()
    for _ in range(20_000):
        words = "ab" if draw.random() < 0.7 else "abc"
        thread = said("".join(draw.choices(words, k=draw.randrange(12))))
        resent = said("".join(draw.choices(words, k=draw.randrange(8))))
        found = align(thread, resent)
        assert found == looked_at_everywhere(thread, resent), (thread, resent)
        outcomes.add((found[0] == len(thread), len(found[1]) in (0, len(resent))))
    assert len(outcomes) == 4


def test_full_match_prefers_the_last_position_and_partial_match_the_first():
    assert align(said("abxabx"), said("ab")) == (5, [])
    assert align(said("abxabx"), said("aby")) == (2, said("y"))
    assert align(said("aaaa"), said("aa")) == (4, [])
    assert align(said("x"), said("a")) == (0, said("a"))
