"""The interface of an adapter, and the plain data that it works with."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gtapi.errors import UpstreamFailed
from gtapi.json_types import JSON


class StreamCut(UpstreamFailed):
    """A stream ended without the provider's end mark."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. ``first_byte`` and ``between_chunks`` apply to streams only."""

    connect: float = 5
    first_byte: float = 60
    between_chunks: float = 60
    total: float = 600


@dataclass(frozen=True, slots=True)
class ProviderConnection:
    """What an adapter needs to call a provider: kind, address, credential, headers and timeouts."""

    name: str
    kind: str
    base_url: str
    api_key: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    timeouts: Timeouts
    stream_usage: bool = True


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """The result of "Test this provider": whether it works, a sentence for the operator, and its models."""

    ok: bool
    message: str
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in a form: its field, the client's name for it, and its path on disk."""

    field: str
    filename: str
    content_type: str
    path: Path


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart body of fields and files. A field's name may occur more than once."""

    fields: Sequence[tuple[str, str]]
    files: Sequence[Upload] = ()


Body = JSON | Form


class Adapter(Protocol):
    """Speaks to one kind of provider. Bodies and responses have the shapes of OpenAI's API.

    ``operation`` is the name of an endpoint (``inference.endpoints``). Every method but ``check_connection`` raises
    ``APIError`` with a message for the client and the provider's words in ``detail``. ``client_params`` are the
    names of the parameters that the client itself sent: errors name no others.
    """

    #: The name of this kind of provider in the admin.
    label: str
    #: The operations that it can call.
    operations: frozenset[str]
    #: Whether it calls a server. If so, a provider needs a base URL.
    has_network: bool

    async def fetch_json(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> JSON:
        """Return a whole response, a JSON object."""
        ...

    async def fetch_text(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> str:
        """Return a whole response that is plain text, such as subtitles."""
        ...

    def stream_events(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[list[JSON], None]:
        """Yield the events of a streamed response, those that arrive together in one list.

        It returns after the provider's end mark, and raises ``StreamCut`` if the bytes end without one.
        """
        ...

    def stream_bytes(
        self, connection: ProviderConnection, operation: str, body: Body, client_params: Collection[str]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a binary response, such as audio, as they arrive."""
        ...

    def check_connection(self, connection: ProviderConnection) -> ConnectionTest:
        """Ask the provider for its models, to test address and credential. Never raises."""
        ...
