"""The shape that all routes with streams of events share."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Protocol

from gtapi.errors import UpstreamFailed
from gtapi.web.responses import EventStreamResponse
from inference.providers.base import StreamCut
from inference.streaming import DONE, metered
from inference.views.base import TargetView

JSON = dict[str, Any]


class Writer(Protocol):
    """Turns a provider's events into ours.

    ``usage`` is what the provider reported, ``text`` what the model wrote; ``begun`` and ``complete`` tell whether
    there was anything for the client, and whether it has its end.
    """

    usage: JSON | None
    text: list[str]

    @property
    def begun(self) -> bool: ...

    @property
    def complete(self) -> bool: ...

    def write(self, chunks: Sequence[JSON]) -> bytes:
        """Return the events for chunks that arrived together; empty where they hold nothing for the client."""
        ...

    def end(self, usage: JSON) -> bytes:
        """Return the events before the end mark."""
        ...


class EventsView(TargetView):
    """A route that can answer with events."""

    async def stream(
        self,
        chunks: AsyncGenerator[list[JSON], None],
        writer: Writer,
        usage: Callable[[], Awaitable[JSON]],
        done: Callable[[], bytes] = lambda: DONE,
    ) -> EventStreamResponse:
        """Answer with a stream, once its first event is there: until then an error has a status of its own.

        Args:
            chunks: the provider's events.
            writer: makes ours of them.
            usage: meters what has been used until now and returns it.
            done: returns the mark at the end, or a last event that has to wait for the record.
        """
        if self.usage is not None:
            self.usage.streamed = True
        parts = self._parts(chunks, writer, usage)
        try:
            first = await anext(parts)
            if not writer.begun:
                raise UpstreamFailed(detail="the stream held nothing")
        except BaseException:
            await parts.aclose()
            raise
        return EventStreamResponse(metered(first, parts, self, done))

    async def finished(self, answer: Any) -> None:
        """Do what has to be done once an answer is whole: a choice, or the writer of a stream."""

    async def _parts(
        self, chunks: AsyncGenerator[list[JSON], None], writer: Writer, usage: Callable[[], Awaitable[JSON]]
    ) -> AsyncGenerator[bytes, None]:
        waiting = True
        try:
            try:
                async for arrived in chunks:
                    if part := writer.write(arrived):
                        if waiting and any(writer.text):
                            waiting = False
                            self.first_token()
                        yield part
            except StreamCut:
                # Some servers leave out their end mark: what matters is that the answer is whole.
                if not writer.complete:
                    raise
            used = await usage()
            await self.finished(writer)
            yield writer.end(used)
        except BaseException:
            # What was generated until now has been paid for, whoever broke it off.
            await chunks.aclose()
            if writer.usage or writer.text:
                await usage()
            raise
        finally:
            await chunks.aclose()
