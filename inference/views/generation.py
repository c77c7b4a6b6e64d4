"""The shape that routes of text share: JSON in, JSON or a stream of events out."""

from abc import abstractmethod
from collections.abc import AsyncGenerator
from typing import Any, Protocol

from django.http.response import HttpResponseBase

from gtapi.errors import UpstreamFailed
from gtapi.request import APIRequest
from gtapi.responses import EventStream, JSONResponse
from inference.metering import estimate, meter_tokens
from inference.providers.base import StreamCut
from inference.routing import Target
from inference.shapes.checks import model_name
from inference.streaming import chain, metered
from inference.views.base import TargetView

JSON = dict[str, Any]


class Writer(Protocol):
    """Turns a provider's events into ours.

    ``usage`` is what the provider reported, ``text`` what the model wrote, ``complete`` whether it finished.
    """

    usage: JSON | None
    text: list[str]

    @property
    def begun(self) -> bool: ...

    @property
    def complete(self) -> bool: ...

    def write(self, chunks: list[JSON]) -> bytes:
        """Return the events for chunks that arrived together; empty where they hold nothing for the client."""
        ...

    def end(self, usage: JSON) -> bytes:
        """Return the events before the end mark."""
        ...


class GenerationView(TargetView):
    """A route that generates text."""

    @abstractmethod
    def check(self, body: JSON) -> None:
        """Refuse what OpenAI refuses."""

    @abstractmethod
    def prepare(self, target: Target, body: JSON) -> JSON:
        """Return the body for the provider."""

    @abstractmethod
    def build(self, answer: JSON, name: str) -> JSON:
        """Return the answer, built from an allow-list."""

    @abstractmethod
    def writer(self, name: str, body: JSON) -> Writer:
        """Return what writes the stream."""

    @abstractmethod
    def count(self, sent: JSON, text: str) -> tuple[int, int]:
        """Return about how many tokens a prompt and an answer have."""

    @abstractmethod
    def written(self, built: JSON) -> str:
        """Return all that the model wrote in a whole answer."""

    def operation(self, target: Target) -> str:
        """Return the name of the endpoint that the provider is called on."""
        return self.endpoint.name

    async def post(self, request: APIRequest) -> HttpResponseBase:
        body = await request.json()
        name = model_name(body)
        target, upstream, adapter = await self.find(name)
        self.check(body)
        sent = self.prepare(target, body)
        operation, given = self.operation(target), body.keys()
        if body.get("stream"):
            return await self._stream(
                adapter.events(upstream, operation, sent, given), self.writer(name, body), sent
            )
        built = self.build(await adapter.answer(upstream, operation, sent, given), name)
        if not built["choices"]:
            raise UpstreamFailed(detail=f"{upstream.name}: an answer without choices")
        if "usage" not in built:
            built["usage"] = await estimate(self.entry, lambda: self.count(sent, self.written(built)))
        meter_tokens(self.entry, built["usage"])
        return JSONResponse(built)

    async def _stream(
        self, chunks: AsyncGenerator[list[JSON], None], writer: Writer, sent: JSON
    ) -> EventStream:
        """Answer with a stream, once its first event is there: until then an error has a status of its own."""
        if self.entry is not None:
            self.entry.streamed = True
        parts = self._parts(chunks, writer, sent)
        try:
            first = await anext(parts)
            if not writer.begun:
                raise UpstreamFailed(detail="the stream held no choices")
        except BaseException:
            await parts.aclose()
            raise
        self.first_token()
        return EventStream(metered(chain(first, parts), self))

    async def _parts(
        self, chunks: AsyncGenerator[list[JSON], None], writer: Writer, sent: JSON
    ) -> AsyncGenerator[bytes, None]:
        try:
            try:
                async for arrived in chunks:
                    if part := writer.write(arrived):
                        yield part
            except StreamCut:
                # Some servers leave out their end mark: what matters is that every choice has its finish.
                if not writer.complete:
                    raise
            yield writer.end(await self._usage(writer, sent))
        except BaseException:
            # What was generated until now has been paid for, whoever broke it off.
            await chunks.aclose()
            if writer.usage or writer.text:
                await self._usage(writer, sent)
            raise
        finally:
            await chunks.aclose()

    async def _usage(self, writer: Writer, sent: JSON) -> JSON:
        usage = writer.usage or await estimate(self.entry, lambda: self.count(sent, "".join(writer.text)))
        meter_tokens(self.entry, usage)
        return usage
