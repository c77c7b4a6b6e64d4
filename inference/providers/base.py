"""What every adapter offers, and the plain facts that it gets."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gtapi.errors import UpstreamFailed

JSON = dict[str, Any]


class StreamCut(UpstreamFailed):
    """A stream ended without the provider's end mark."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. ``first_byte`` and ``between_chunks`` hold for streams alone."""

    connect: float = 5
    first_byte: float = 60
    between_chunks: float = 60
    total: float = 600


@dataclass(frozen=True, slots=True)
class ProviderConnection:
    """Where a provider is and how it is called."""

    name: str
    kind: str
    base_url: str
    api_key: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    timeouts: Timeouts
    stream_usage: bool = True


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """What «test this provider» found: whether it answered as it should, and a sentence for the operator."""

    ok: bool
    message: str
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form: the field that carries it, what the client called it, and where it is on disk."""

    field: str
    filename: str
    content_type: str
    path: Path


@dataclass(frozen=True, slots=True)
class Form:
    """A body of fields and files, for the routes that take uploads. A name may stand in it more than once."""

    fields: Sequence[tuple[str, str]]
    files: Sequence[Upload] = ()


Body = JSON | Form


class Adapter(Protocol):
    """Speaks to one kind of provider; bodies and answers have the shapes of OpenAI's API.

    ``operation`` is the name of an endpoint (``inference.endpoints``). Every method raises ``APIError`` in words
    for the client, with what the provider said in ``detail``. ``client_params`` are the names of the parameters
    that the client itself sent: errors name no other one.
    """

    label: str

    async def fetch_json(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> JSON:
        """Return a whole answer, a JSON object."""
        ...

    async def fetch_text(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> str:
        """Return a whole answer that is plain text, such as subtitles."""
        ...

    def stream_events(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[list[JSON], None]:
        """Yield the events of a streamed answer, those that arrive together in one list.

        It ends after the provider's own end mark and raises ``StreamCut`` where the bytes end without one.
        """
        ...

    def stream_bytes(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of an answer that is no JSON, such as audio, as they arrive."""
        ...

    def check_connection(self, connection: ProviderConnection) -> ConnectionTest:
        """Ask the provider for its models, as a check of address and credential; it never raises."""
        ...
