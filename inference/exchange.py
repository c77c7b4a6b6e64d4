"""One inference request and its response, as they pass the stations of ``inference.pipeline``."""

from collections.abc import Collection
from dataclasses import dataclass, field
from time import perf_counter

from gtapi.json_types import JSON
from gtapi.web.multipart import MultipartForm
from gtapi.web.request import APIRequest
from inference.chat.citations import Sources
from inference.chat.conversations import PendingTurn
from inference.chat.fixed_answer import FixedAnswer
from inference.chat.retrieval import RetrievedContext
from inference.endpoints import Endpoint
from inference.models import Explanation
from inference.providers.base import Adapter, Body, ProviderConnection
from inference.routing import Target
from tenants.authentication import KeyFacts
from tenants.usage.record import UsageEvent


@dataclass(slots=True)
class Exchange:
    """The only mutable state of a request. Each group of fields is set by the station that is named above it."""

    request: APIRequest
    #: authenticate, authorize
    key: KeyFacts
    endpoint: Endpoint
    usage: UsageEvent
    started: float

    #: parse: the client's parameters; of a form, its text fields
    body: JSON = field(default_factory=dict)
    form: MultipartForm = field(init=False)
    #: Names of the parameters that the client itself sent: errors name no others.
    client_params: Collection[str] = ()

    #: How long an uploaded recording is. Noted while its file is there, used by streams, which outlive it.
    recording_ms: int = 0

    #: route
    model: str = ""
    target: Target = field(init=False)
    connection: ProviderConnection = field(init=False)
    adapter: Adapter = field(init=False)

    #: validate: the request as a chat, on endpoints that are answered by one, and the conversation it continues
    chat: JSON | None = None
    conversation_id: str = ""

    #: build the provider's request
    provider_request: Body = field(init=False)

    #: enrich: what a chat gets from its conversation and from datasets
    pending_turn: PendingTurn | None = None
    context: RetrievedContext | None = None
    sources: Sources | None = None
    fixed_answer: FixedAnswer | None = None
    explanation: Explanation | None = None

    #: Whether a part of a stream has been handed out. From then on the stream settles the exchange.
    streaming: bool = False

    @property
    def json_request(self) -> JSON:
        """The provider's request of an endpoint that sends JSON."""
        if not isinstance(self.provider_request, dict):
            raise TypeError("the provider's request is a form")
        return self.provider_request

    def note_first_token(self) -> None:
        """Note that the first output of a stream has arrived."""
        self.usage.first_token_ms = self.elapsed_ms()

    def elapsed_ms(self) -> int:
        """Return the milliseconds since the request arrived."""
        return int((perf_counter() - self.started) * 1000)
