"""An adapter under test, with a provider that behaves as the test wants."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.providers.base import Adapter, Body, Form, ProviderConnection, Timeouts, Upload
from tests import factories
from tests.providers.script import CREDENTIAL, Behaviour, ProviderScript
from tests.upstream import Received, Upstream

#: By operation: an ordinary request. A list of fields is a form, whose files are added.
REQUESTS: dict[str, Any] = {
    "chat": {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0.5},
    "completions": {"prompt": "Once", "temperature": 0.5},
    "embeddings": {"input": "Hello"},
    "moderations": {"input": "I threaten you with violence."},
    "rerank": {"query": "A friendly greeting", "documents": ["A greeting", "Bananas"], "top_n": 1},
    "speech": {"input": "Hello there.", "voice": "alloy", "response_format": "wav"},
    "transcriptions": [("response_format", "verbose_json")],
    "translations": [("response_format", "verbose_json")],
    "image_generations": {"prompt": "A cat"},
    "image_edits": [("prompt", "A dog")],
    "image_variations": [("n", "1")],
}


@dataclass
class Subject:
    """`adapter`, and the upstream or the raw model id that it meets."""

    kind: str
    adapter: Adapter
    script: ProviderScript
    upstream: Upstream
    #: A recording and an image, for forms.
    files: dict[str, Path]
    model: str = field(default_factory=lambda: factories.unique("raw"))

    def behave(self, *behaviours: Behaviour) -> None:
        """Let the next requests get these behaviours; the last one repeats."""
        if self.adapter.has_network:
            self.upstream.script(self.model, *(b.play for b in behaviours if b.play))
        else:
            (behaviour,) = behaviours
            self.model = f"{self.model.partition('?')[0]}?{behaviour.options}"

    def received(self) -> list[Received]:
        return self.upstream.received(self.model)

    def connection(self, base_url: str = "", **timeouts: float) -> ProviderConnection:
        url = base_url or (self.upstream.base_url if self.adapter.has_network else "")
        headers = {"x-operator": f"{CREDENTIAL}-header"}
        return ProviderConnection("main", self.kind, url, CREDENTIAL, headers, Timeouts(**timeouts))

    def body(self, operation: str, *, streamed: bool = False, **more: Any) -> Body:
        request = REQUESTS[operation]
        extra = {"model": self.model, **more}
        if isinstance(request, dict):
            return {**request, **extra, **({"stream": True} if streamed else {})}
        name = "file" if operation.startswith("trans") else "image"
        uploads = [Upload(name, self.files[name].name, "application/octet-stream", self.files[name])]
        fields = [*request, *extra.items(), *([("stream", "true")] if streamed else [])]
        return Form([f for f in fields if f[0] not in more or f in extra.items()], uploads)

    async def fetch(
        self, operation: str, client_params: Collection[str] = (), base_url: str = "", **timeouts: float
    ) -> Any:
        """The whole response, whatever its type."""
        connection = self.connection(base_url, **timeouts)
        body = self.body(operation)
        if operation == "speech":
            pieces = self.adapter.stream_bytes(connection, operation, body, client_params)
            return b"".join([piece async for piece in pieces])
        return await self.adapter.fetch_json(connection, operation, body, client_params)

    def stream(
        self, operation: str, client_params: Collection[str] = (), base_url: str = "", **timeouts: float
    ) -> AsyncGenerator[list[Any], None]:
        connection = self.connection(base_url, **timeouts)
        return self.adapter.stream_events(
            connection, operation, self.body(operation, streamed=True), client_params
        )

    async def consume(
        self,
        operation: str,
        client_params: Collection[str] = (),
        events: list[Any] | None = None,
        **more: Any,
    ) -> list[Any]:
        """All events of a stream, which are also added to `events` as they come."""
        collected = [] if events is None else events
        async with aclosing(self.stream(operation, client_params, **more)) as stream:
            async for some in stream:
                collected += some
        return collected

    async def is_left(self) -> bool:
        """Whether the adapter closes the connections of its requests within a second; true without a network."""
        waits = [asyncio.to_thread(request.closed_within, 1) for request in self.received()]
        return all(await asyncio.gather(*waits))

    @property
    def operation(self) -> str:
        """An operation to try errors with."""
        return "chat" if "chat" in self.adapter.operations else min(self.adapter.operations)

    @property
    def streamed_operation(self) -> str:
        """An operation to try errors of streams with; empty if there is none."""
        streamed = [o for o in sorted(self.adapter.operations) if self.script.streamed(o)]
        return "chat" if "chat" in streamed else next(iter(streamed), "")
