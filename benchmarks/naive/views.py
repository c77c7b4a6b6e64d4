"""A naive implementation of the gateway's chat route with adrf, httpx and the standard library's JSON.

Policy, routing, the response allow-list and the ledger are the product's own, so that the two differ only in the web
framework and the HTTP client.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import httpx
from adrf.views import APIView
from django.http import StreamingHttpResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.response import Response

from gtapi.ids import uuid7
from inference import policy
from inference.endpoints import ENDPOINTS
from inference.endpoints.chat.response import ChunkWriter, completion
from inference.endpoints.chat.schema import check_chat
from inference.provider_request import chat_request
from inference.routing import Target
from tenants import keys
from tenants.authentication import KeyFacts, known_keys
from tenants.usage import ledger

_clients: list[httpx.AsyncClient] = []


@asynccontextmanager
async def client_open() -> AsyncIterator[None]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
        _clients.append(client)
        yield


class BearerAuthentication(BaseAuthentication):
    """Extracts the key from the header. DRF calls this in a thread, where the policy cache is not available."""

    def authenticate(self, request: Any) -> tuple[None, str]:
        scheme, _, plain = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or keys.public_id(plain) is None:
            raise AuthenticationFailed
        return None, plain

    def authenticate_header(self, request: Any) -> str:
        return "Bearer"


class HasKey(BasePermission):
    def has_permission(self, request: Any, view: Any) -> bool:
        return request.auth is not None


async def key_of(plain: str) -> KeyFacts:
    """Return the key from the product's policy cache."""
    key = await known_keys.get(keys.public_id(plain))
    if key is None or not keys.matches(plain, key.digest) or key.refusal_reason():
        raise AuthenticationFailed
    if "inference:chat" not in key.scopes:
        raise PermissionDenied
    return key


class ChatCompletions(APIView):
    authentication_classes = [BearerAuthentication]
    permission_classes = [HasKey]

    async def post(self, request: Any) -> Response | StreamingHttpResponse:
        started = perf_counter()
        key, body = await key_of(request.auth), request.data
        target = await policy.route(key, body["model"], ENDPOINTS["chat"])
        check_chat(body)
        sent = chat_request(target, body)
        event = self.usage_event(key, target, streamed=bool(body.get("stream")))
        if body.get("stream"):
            events = self.events(target, sent, body, event, started)
            return StreamingHttpResponse(events, content_type="text/event-stream")
        response = await _clients[-1].post(**self.outgoing(target, sent))
        response.raise_for_status()
        built = completion(response.json(), body["model"], key.tenant_id)
        await self.record(event, built["usage"], started)
        return Response(built)

    def outgoing(self, target: Target, sent: dict[str, Any]) -> dict[str, Any]:
        assert target.connection is not None
        return {
            "url": f"{target.connection.base_url}/chat/completions",
            "json": sent,
            "headers": {"authorization": f"Bearer {target.connection.api_key}"},
        }

    async def events(
        self,
        target: Target,
        sent: dict[str, Any],
        body: dict[str, Any],
        event: ledger.UsageEvent,
        started: float,
    ) -> AsyncIterator[bytes]:
        options = body.get("stream_options") or {}
        writer = ChunkWriter(body["model"], event.tenant_id, include_usage=bool(options.get("include_usage")))
        outgoing = self.outgoing(target, {**sent, "stream_options": {"include_usage": True}})
        async with _clients[-1].stream("POST", **outgoing) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if line == "data: [DONE]":
                    break
                if line.startswith("data: ") and (frame := writer.write([json.loads(line[6:])])):
                    yield frame
        usage = writer.usage or {"prompt_tokens": 0, "completion_tokens": 0}
        if ending := writer.end(usage):
            yield ending
        await self.record(event, usage, started)
        yield b"data: [DONE]\n\n"

    def usage_event(self, key: KeyFacts, target: Target, *, streamed: bool) -> ledger.UsageEvent:
        number = uuid7()
        event = ledger.UsageEvent(
            id=number,
            created_at=(number.int >> 80) / 1000,
            tenant_id=key.tenant_id,
            key_id=key.id,
            request_id=f"req_{number.hex}",
            route="/chat/completions",
        )
        event.model, event.raw_model, event.streamed = target.name, target.raw_model, streamed
        return event

    async def record(self, event: ledger.UsageEvent, usage: dict[str, Any], started: float) -> None:
        event.input_tokens, event.output_tokens = usage["prompt_tokens"], usage["completion_tokens"]
        event.latency_ms = int((perf_counter() - started) * 1000)
        await ledger.record(event)
