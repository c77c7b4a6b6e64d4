"""Citations: the context chunks of a prompt, on the message that was generated from them.

``citations`` is our own field: file, name, heading, page and the chunk itself. ``annotations`` say the same as
``url_citation``, the only kind that OpenAI's types know on a chat message.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gtapi.json_types import JSON
from inference.chat.retrieval import ContextChunk


@dataclass(frozen=True, slots=True)
class Sources:
    """The chunks of a prompt, in the order of their numbers; ``base_url`` is that of ``/files`` for the client."""

    chunks: Sequence[ContextChunk]
    base_url: str

    def fields(self, content: str, *, after: int = 0) -> JSON:
        """Return the fields for a message with this content.

        ``after`` counts the annotations of the same message that a stream has already sent: the second part of a
        list needs an index.
        """
        if not self.chunks or not content:
            return {}
        annotations = [self._annotation(at, content) for at in range(len(self.chunks))]
        if after:
            annotations = [{"index": after + at, **annotation} for at, annotation in enumerate(annotations)]
        return {"citations": [_citation(chunk) for chunk in self.chunks], "annotations": annotations}

    def _annotation(self, at: int, content: str) -> JSON:
        result = self.chunks[at].result
        start, end = _span(f"[{at + 1}]", content)
        return {
            "type": "url_citation",
            "url_citation": {
                "url": f"{self.base_url}/files/{result.file_id}/content",
                "title": result.filename,
                "start_index": start,
                "end_index": end,
            },
        }

    def references(self) -> list[JSON]:
        """Return what a conversation stores of them: the files, without their text."""
        return [
            {"file_id": chunk.result.file_id, "filename": chunk.result.filename, "page": chunk.result.page}
            for chunk in self.chunks
        ]


def _citation(chunk: ContextChunk) -> JSON:
    result = chunk.result
    return {
        "file_id": result.file_id,
        "filename": result.filename,
        "quote": chunk.text,
        "page": result.page,
        "heading": result.heading or None,
    }


def _span(number: str, content: str) -> tuple[int, int]:
    """Return where the message cites a chunk by its number, else the whole message, in characters."""
    start = content.find(number)
    return (start, start + len(number)) if start >= 0 else (0, len(content))


def without_citations(messages: Sequence[JSON]) -> Sequence[JSON]:
    """Return a client's messages without the citations of earlier responses, which clients send back unchanged.

    Providers do not know them, and the earlier quotes do not belong in this prompt. They are removed from messages
    of every role: an operator would otherwise read quotes there that no model was given.
    """
    if not any("citations" in message for message in messages):
        return messages
    return [
        {name: value for name, value in message.items() if name not in ("citations", "annotations")}
        if "citations" in message
        else message
        for message in messages
    ]
