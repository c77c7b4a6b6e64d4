"""Citations: the passages that an answer was given, on the message that was made from them.

``citations`` is a field of ours: file, name, heading, page and the passage itself. ``annotations`` say the same as
``url_citation``, the one kind that OpenAI's types know on a chat message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inference.chat.retrieval import Given

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sources:
    """What an answer was given, in the order of its numbers; ``base`` is the address that files stand under."""

    given: Sequence[Given]
    base: str

    def fields(self, content: str, *, after: int = 0) -> JSON:
        """Return the fields for a message with this content.

        ``after`` counts the annotations that a stream has sent of the same message: a list that comes in two
        deltas needs to say where its second part goes.
        """
        if not self.given or not content:
            return {}
        annotations = [self._annotation(at, content) for at in range(len(self.given))]
        if after:
            annotations = [{"index": after + at, **one} for at, one in enumerate(annotations)]
        return {"citations": [_citation(given) for given in self.given], "annotations": annotations}

    def _annotation(self, at: int, content: str) -> JSON:
        passage = self.given[at].passage
        start, end = _span(f"[{at + 1}]", content)
        return {
            "type": "url_citation",
            "url_citation": {
                "url": f"{self.base}/files/{passage.file_id}/content",
                "title": passage.filename,
                "start_index": start,
                "end_index": end,
            },
        }

    def kept(self) -> list[JSON]:
        """Return what a conversation keeps of them: which files, without their words."""
        return [
            {"file_id": given.passage.file_id, "filename": given.passage.filename, "page": given.passage.page}
            for given in self.given
        ]


def _citation(given: Given) -> JSON:
    passage = given.passage
    return {
        "file_id": passage.file_id,
        "filename": passage.filename,
        "quote": given.text,
        "page": passage.page,
        "heading": passage.heading or None,
    }


def _span(number: str, content: str) -> tuple[int, int]:
    """Return where the answer names a passage by its number, else all of the answer, in characters."""
    start = content.find(number)
    return (start, start + len(number)) if start >= 0 else (0, len(content))


def without_citations(messages: Sequence[JSON]) -> Sequence[JSON]:
    """Return a client's messages without the citations of earlier answers, which clients send back as they came.

    No provider knows them, and what was quoted then is no part of this prompt. Messages of other roles have none:
    an operator would read there what nobody quoted.
    """
    if not any("citations" in message for message in messages):
        return messages
    return [
        {name: value for name, value in message.items() if name not in ("citations", "annotations")}
        if "citations" in message
        else message
        for message in messages
    ]
