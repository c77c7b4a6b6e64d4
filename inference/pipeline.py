"""The path of an inference request, which every endpoint that calls a model takes.

    authenticate    the DRF base of the view, on the headers alone: ``tenants.authentication``
    authorize       the permissions of the view: scopes. Only now is the body read.
    parse           the JSON body, or the form with its files
    route           the model's name to a target, its provider and adapter. A model that the key may not call is a
                    404, before anything is said about the other parameters.
    validate        the edge refuses what OpenAI refuses; the edge of a chat sets ``exchange.chat``
    admit           nothing yet: the place to reserve limits and budgets, and for guardrails and caches
    build request   once, with the agent's parameters
    enrich          a chat gets its conversation's history, retrieved context and the agent's instructions, or the
                    agent's fixed answer, which takes the place of the provider's
    call            the provider. Failover will loop here, until the first part of a response has arrived.
    build response  the edge builds it from an allow-list and meters it; of a stream, event by event
    settle          in any case: conversation turn, explanation and usage event, durable before the last byte leaves

Endpoints differ only in their ``Edge``, and the ``Exchange`` is the only mutable state. ``serve`` settles errors
and whole responses. A stream settles itself, from its first part on.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable

import orjson
from django.http.response import HttpResponseBase

from gtapi.errors import APIError, UpstreamFailed, translate
from gtapi.json_types import JSON
from gtapi.validation import model_name
from gtapi.web.multipart import multipart_form
from gtapi.web.request import ClientDisconnected
from gtapi.web.responses import EventStreamResponse, StreamResponse
from inference import policy
from inference.chat import explanations
from inference.chat.conversation_header import CONVERSATION
from inference.chat.enrich import end_turn, enrich
from inference.edge import Delivery, Edge, EventWriter
from inference.exchange import Exchange
from inference.providers import ADAPTERS
from inference.providers.base import StreamCut
from tenants.usage import ledger


async def serve(exchange: Exchange, edge: Edge) -> HttpResponseBase:
    """Take an authorized request through the stations and return its response.

    Raises:
        APIError: the response is this error; it has been settled.
    """
    try:
        if not edge.takes_form:
            exchange.body = await exchange.request.json()
            exchange.client_params = exchange.body.keys()
            return await _respond(exchange, edge)
        async with multipart_form(exchange.request) as form:
            exchange.form, exchange.body = form, form.values()
            exchange.client_params = form.names()
            return await _respond(exchange, edge)
    except (ClientDisconnected, asyncio.CancelledError):
        exchange.usage.abandon()
        raise
    except Exception as error:
        api_error = translate(error)
        exchange.usage.fail(api_error)
        if api_error is error:
            raise
        raise api_error from error
    finally:
        if not exchange.streaming:
            await settle(exchange)


async def _respond(exchange: Exchange, edge: Edge) -> HttpResponseBase:
    """Return the response to a request that has been parsed."""
    await route(exchange, edge)
    edge.validate(exchange)
    # admit: limits and budgets will be reserved here, and released or charged by settle.
    exchange.provider_request = edge.provider_request(exchange)
    if exchange.chat is not None:
        await enrich(exchange, exchange.chat)
    response = await call(exchange, edge)
    if exchange.conversation_id:
        response.headers[CONVERSATION] = exchange.conversation_id
    return response


async def route(exchange: Exchange, edge: Edge) -> None:
    """Find the target that the request names, its provider and the adapter for that.

    Raises:
        BadRequest: the request names no model, or one that cannot serve this endpoint.
        ModelNotFound: the key may not call the model, or there is none of that name.
    """
    name = None
    if edge.has_default_model and exchange.body.get("model") is None:
        name = await policy.default_model(exchange.key, exchange.endpoint)
    exchange.model = exchange.usage.model = name or model_name(exchange.body)
    target = await policy.route(exchange.key, exchange.model, exchange.endpoint)
    if target.connection is None:
        raise RuntimeError(f"{target.name} is available and has no provider")
    exchange.target, exchange.connection = target, target.connection
    exchange.adapter = ADAPTERS[target.connection.kind]
    exchange.usage.agent_version = target.version
    exchange.usage.provider = target.connection.name
    exchange.usage.raw_model = target.raw_model


async def call(exchange: Exchange, edge: Edge) -> HttpResponseBase:
    """Call the provider, or take the agent's fixed answer, and return the response that the edge builds.

    A stream is returned once its first part has arrived: an error before that has an HTTP status.
    """
    operation = edge.operation(exchange)
    request = (exchange.connection, operation, exchange.provider_request, exchange.client_params)
    responder = exchange.fixed_answer or exchange.adapter
    match edge.delivery(exchange):
        case Delivery.JSON:
            return await edge.build(exchange, await responder.fetch_json(*request))
        case Delivery.TEXT:
            return await edge.build(exchange, await exchange.adapter.fetch_text(*request))
        case Delivery.EVENTS:
            writer = await edge.event_writer(exchange)
            parts = _events(exchange, edge, writer, responder.stream_events(*request))
            return await _event_stream(exchange, writer, parts)
        case Delivery.BYTES:
            return await _byte_stream(exchange, edge, exchange.adapter.stream_bytes(*request))


async def settle(exchange: Exchange) -> None:
    """Make durable what remains of a request: once for each, before the last byte of the response leaves."""
    usage, explanation = exchange.usage, exchange.explanation
    if exchange.pending_turn is not None:
        await end_turn(exchange.pending_turn, abandoned=usage.status == 499)
    usage.latency_ms = exchange.elapsed_ms()
    if explanation is None:
        await ledger.record(usage)
        return
    explanation.prompt_tokens = usage.input_tokens
    await asyncio.gather(ledger.record(usage), explanations.store(explanation))


async def _event_stream(
    exchange: Exchange, writer: EventWriter, parts: AsyncGenerator[bytes, None]
) -> EventStreamResponse:
    exchange.usage.streamed = True
    try:
        first = await anext(parts)
        if not writer.begun:
            raise UpstreamFailed(detail="the stream held nothing")
    except BaseException:
        await parts.aclose()
        raise
    exchange.streaming = True
    return EventStreamResponse(_deliver(exchange, first, parts, writer.done, _error_event))


async def _byte_stream(exchange: Exchange, edge: Edge, parts: AsyncGenerator[bytes, None]) -> StreamResponse:
    try:
        first = await anext(parts)
    except StopAsyncIteration:
        raise UpstreamFailed(detail=f"{exchange.connection.name}: an empty response") from None
    content_type = edge.begin_bytes(exchange)
    exchange.note_first_token()
    exchange.streaming = True
    return StreamResponse(_deliver(exchange, first, parts, bytes, _close_connection), content_type)


async def _events(
    exchange: Exchange, edge: Edge, writer: EventWriter, chunks: AsyncGenerator[list[JSON], None]
) -> AsyncGenerator[bytes, None]:
    """Yield the events that a provider's chunks make, all but the last."""
    waiting = True
    try:
        try:
            async for arrived in chunks:
                if part := writer.write(arrived):
                    if waiting and any(writer.text):
                        waiting = False
                        exchange.note_first_token()
                    yield part
        except StreamCut:
            # Some servers leave out their end mark: what matters is that the response is whole.
            if not writer.complete:
                raise
        usage = await edge.meter(exchange, writer)
        await edge.complete(exchange, writer)
        yield writer.end(usage)
    except BaseException:
        # What was generated until now has been paid for, whatever ended the stream.
        await chunks.aclose()
        if writer.usage or writer.text:
            await edge.meter(exchange, writer)
        raise
    finally:
        await chunks.aclose()


async def _deliver(
    exchange: Exchange,
    first: bytes,
    parts: AsyncGenerator[bytes, None],
    done: Callable[[], bytes],
    failed: Callable[[APIError], bytes],
) -> AsyncGenerator[bytes, None]:
    """Yield a stream, settle the exchange, then yield its last part.

    Args:
        exchange: the request.
        first: what has been taken from ``parts`` already.
        parts: all of the stream but its last part.
        done: returns the last part of a stream that is whole.
        failed: returns the last part of a stream that an error has ended, or raises that error.
    """
    last = b""
    try:
        yield first
        async for part in parts:
            if part:
                yield part
        last = done()
    except (asyncio.CancelledError, GeneratorExit):
        await parts.aclose()
        exchange.usage.abandon()
        raise
    except Exception as error:  # noqa: BLE001 - the status has been sent: any error ends the stream
        api_error = translate(error)
        exchange.usage.fail(api_error)
        last = failed(api_error)
    finally:
        await settle(exchange)
    if last:
        yield last


def _error_event(error: APIError) -> bytes:
    """Return the event that every SDK raises; a stream that just ended would pass for a success."""
    return b"data: " + orjson.dumps(error.body()) + b"\n\n"


def _close_connection(error: APIError) -> bytes:
    """Raise the error: only a response of bytes that ends early tells a client that something went wrong."""
    raise error
