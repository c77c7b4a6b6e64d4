"""``POST /chat/completions``."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from django.http.response import HttpResponseBase

from gtapi.errors import UpstreamFailed
from gtapi.request import APIRequest
from gtapi.responses import EventStream, JSONResponse
from inference import tokens
from inference.context import upstream_body
from inference.endpoints import ENDPOINTS
from inference.providers.base import StreamCut
from inference.shapes.chat import ChunkWriter, completion, written
from inference.shapes.chat_request import check_chat
from inference.shapes.checks import model_name
from inference.streaming import metered
from inference.views.base import TargetView

JSON = dict[str, Any]


class ChatCompletionsView(TargetView):
    endpoint = ENDPOINTS["chat"]

    async def post(self, request: APIRequest) -> HttpResponseBase:
        body = await request.json()
        name = model_name(body)
        target, upstream, adapter = await self.find(name)
        check_chat(body)
        sent = upstream_body(target, body, self.auth.tenant_id)
        if body.get("stream"):
            options = body.get("stream_options") or {}
            writer = ChunkWriter(name, self.auth.tenant_id, include_usage=bool(options.get("include_usage")))
            return await self._stream(adapter.chat_stream(upstream, sent, body.keys()), writer, sent)
        built = completion(await adapter.chat(upstream, sent, body.keys()), name, self.auth.tenant_id)
        if not built["choices"]:
            raise UpstreamFailed(detail=f"{upstream.name}: an answer without choices")
        if "usage" not in built:
            texts = [written(choice["message"]) for choice in built["choices"]]
            built["usage"] = await self._estimate(sent, "".join(texts))
        self._meter(built["usage"])
        return JSONResponse(built)

    async def _stream(
        self, chunks: AsyncGenerator[list[JSON], None], writer: ChunkWriter, sent: JSON
    ) -> EventStream:
        """Answer with a stream, once its first event is there: until then an error has a status of its own."""
        if self.entry is not None:
            self.entry.streamed = True
        parts = self._parts(chunks, writer, sent)
        try:
            first = await anext(parts)
        except BaseException:
            await parts.aclose()
            raise
        self.first_token()
        return EventStream(
            metered(
                _chain(first, parts),
                record=self.record,
                failed=self.note,
                abandoned=self.record_abandoned,
            )
        )

    async def _parts(
        self, chunks: AsyncGenerator[list[JSON], None], writer: ChunkWriter, sent: JSON
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
            if ending := writer.end(await self._metered_usage(writer, sent)):
                yield ending
        except BaseException:
            # What was generated until now has been paid for, whoever broke it off.
            await chunks.aclose()
            if writer.usage or writer.text:
                await self._metered_usage(writer, sent)
            raise
        finally:
            await chunks.aclose()

    async def _metered_usage(self, writer: ChunkWriter, sent: JSON) -> JSON:
        usage = writer.usage or await self._estimate(sent, "".join(writer.text))
        self._meter(usage)
        return usage

    async def _estimate(self, sent: JSON, answer: str) -> JSON:
        """Return a usage for an answer whose provider reported none."""
        loop = asyncio.get_running_loop()
        prompt = await loop.run_in_executor(None, tokens.estimate_messages, sent["messages"])
        answered = await loop.run_in_executor(None, tokens.estimate, answer)
        if self.entry is not None:
            self.entry.estimated = True
        return {"prompt_tokens": prompt, "completion_tokens": answered, "total_tokens": prompt + answered}

    def _meter(self, usage: JSON) -> None:
        if self.entry is not None:
            self.entry.input_tokens = usage["prompt_tokens"]
            self.entry.output_tokens = usage["completion_tokens"]
            self.entry.cached_tokens = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
            self.entry.reasoning_tokens = usage.get("completion_tokens_details", {}).get(
                "reasoning_tokens", 0
            )


async def _chain(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    try:
        yield first
        async for part in rest:
            yield part
    finally:
        await rest.aclose()
