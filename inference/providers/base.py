"""What every adapter offers, and the plain facts that it gets."""

from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass, field
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
class Upstream:
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


class Adapter(Protocol):
    """Speaks to one kind of provider; bodies and answers have the shapes of OpenAI's API.

    Every method raises ``APIError`` in words for the client, with what the provider said in ``detail``. ``given``
    are the names of the parameters that the client itself sent: errors name no other one.
    """

    label: str

    async def chat(self, upstream: Upstream, body: JSON, given: Collection[str]) -> JSON:
        """Return a whole chat completion."""
        ...

    def chat_stream(
        self, upstream: Upstream, body: JSON, given: Collection[str]
    ) -> AsyncGenerator[list[JSON], None]:
        """Yield the chunks of a chat completion, those that arrive together in one list.

        It ends after the provider's own end mark and raises ``StreamCut`` where the bytes end without one.
        """
        ...

    def test(self, upstream: Upstream) -> ConnectionTest:
        """Ask the provider for its models, as a check of address and credential; it never raises."""
        ...
