"""What differs between inference endpoints: how a request is read, and how its response is written."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, ClassVar, Protocol

from django.http.response import HttpResponseBase

from gtapi.json_types import JSON
from inference.exchange import Exchange
from inference.providers.base import Body

DONE = b"data: [DONE]\n\n"


class Delivery(Enum):
    """How a response comes from the provider and goes to the client."""

    JSON = auto()
    TEXT = auto()
    #: Server-sent events.
    EVENTS = auto()
    #: Bytes of a media type, passed on as they arrive.
    BYTES = auto()


class EventWriter(Protocol):
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
        """Return the events that may leave before the usage event is durable."""
        ...

    def done(self) -> bytes:
        """Return the last event or the end mark, which tells a client that it has everything."""
        ...


class Edge(ABC):
    """The side of the pipeline that faces the clients of one endpoint.

    ``inference.pipeline`` calls these methods in the order in which they stand here. An edge holds no state of a
    request: that is in the ``Exchange``.
    """

    #: Whether the body is a multipart form. Its files are kept until the response begins.
    takes_form: ClassVar[bool] = False
    #: Whether ``model`` may be left out where the key can call only one model on this endpoint.
    has_default_model: ClassVar[bool] = False

    @abstractmethod
    def validate(self, exchange: Exchange) -> None:
        """Refuse what OpenAI refuses, naming the parameter. An endpoint that chats sets ``exchange.chat``.

        Raises:
            BadRequest: a parameter is missing or invalid.
        """

    @abstractmethod
    def provider_request(self, exchange: Exchange) -> Body:
        """Return the request for the provider. The messages of a chat are filled in later, by ``enrich``."""

    def operation(self, exchange: Exchange) -> str:
        """Return the operation of the adapter that serves the request."""
        return exchange.endpoint.name

    def delivery(self, exchange: Exchange) -> Delivery:
        return Delivery.JSON

    async def build(self, exchange: Exchange, response: Any) -> HttpResponseBase:
        """Meter a provider's whole response (JSON or text) and return ours, built from an allow-list.

        Raises:
            UpstreamFailed: the response does not answer the request.
        """
        raise NotImplementedError

    async def event_writer(self, exchange: Exchange) -> EventWriter:
        """Return the writer of an event stream."""
        raise NotImplementedError

    async def meter(self, exchange: Exchange, writer: EventWriter) -> JSON:
        """Note what an event stream has used until now, estimated where nothing was reported, and return it."""
        raise NotImplementedError

    async def complete(self, exchange: Exchange, writer: EventWriter) -> None:  # noqa: B027 - most have nothing to do
        """Do what has to be done once an event stream is whole."""

    def begin_bytes(self, exchange: Exchange) -> str:
        """Meter a response of bytes, whose first part has arrived, and return its media type."""
        raise NotImplementedError
