"""The shape that routes of text share: JSON in, JSON or a stream of events out."""

from abc import abstractmethod
from typing import Any

from django.http.response import HttpResponseBase

from gtapi.errors import UpstreamFailed
from gtapi.validation import model_name
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse
from inference.chat.fixed_answer import Answering
from inference.metering import estimate, meter_tokens
from inference.providers.base import Adapter
from inference.routing import Target
from inference.views.events import EventsView, Writer

JSON = dict[str, Any]


class GenerationView(EventsView):
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

    async def begin(self, request: APIRequest, target: Target, body: JSON) -> JSON:
        """Return the body to go on with; a route that keeps conversations puts their history into it."""
        return body

    def answering(self, adapter: Adapter) -> Answering:
        """Return who answers once the body is ready."""
        return adapter

    async def post(self, request: APIRequest) -> HttpResponseBase:
        body = await request.json()
        name = model_name(body)
        target, connection, adapter = await self.find(name)
        self.check(body)
        operation, client_params = self.operation(target), body.keys()
        sent = self.prepare(target, await self.begin(request, target, body))
        answering = self.answering(adapter)
        if body.get("stream"):
            writer = self.writer(name, body)
            chunks = answering.stream_events(connection, operation, sent, client_params)
            return await self.stream(chunks, writer, lambda: self._usage(writer, sent))
        built = self.build(await answering.fetch_json(connection, operation, sent, client_params), name)
        if not built["choices"]:
            raise UpstreamFailed(detail=f"{connection.name}: an answer without choices")
        if "usage" not in built:
            built["usage"] = await estimate(self.usage, lambda: self.count(sent, self.written(built)))
        meter_tokens(self.usage, built["usage"])
        await self.finished(built["choices"][0])
        return JSONResponse(built)

    async def _usage(self, writer: Writer, sent: JSON) -> JSON:
        usage = writer.usage or await estimate(self.usage, lambda: self.count(sent, "".join(writer.text)))
        meter_tokens(self.usage, usage)
        return usage
