"""``POST /completions``: the legacy route. An agent answers it too, by a chat of one message."""

from typing import Any

from gtapi.web.request import APIRequest
from inference import tokens
from inference.endpoints import ENDPOINTS
from inference.endpoints.completions.schema import (
    CompletionWriter,
    chat_messages,
    check_completions,
    text_completion,
)
from inference.provider_request import upstream_body, upstream_chat
from inference.routing import Target
from inference.views.data import DataView

JSON = dict[str, Any]
#: Parameters that a chat does not know. Those that would change the answer have been refused by then.
OF_COMPLETIONS = {"prompt", "suffix", "echo", "best_of", "logprobs"}


class CompletionsView(DataView):
    endpoint = ENDPOINTS["completions"]

    def operation(self, target: Target) -> str:
        return "chat" if target.kind == "agent" else self.endpoint.name

    def check(self, body: JSON) -> None:
        check_completions(body)

    async def begin(self, request: APIRequest, target: Target, body: JSON) -> JSON:
        if target.kind != "agent":
            return body
        chat = {name: value for name, value in body.items() if name not in OF_COMPLETIONS}
        chat["messages"] = chat_messages(body)
        if target.dataset_ids:
            await self.look_up(request, target, target.dataset_ids, chat, chat["messages"])
        return chat

    def prepare(self, target: Target, body: JSON) -> JSON:
        if target.kind != "agent":
            return upstream_body(target, body)
        return self.with_evidence(upstream_chat(target, body, self.auth.tenant_id))

    def build(self, answer: JSON, name: str) -> JSON:
        return text_completion(answer, name)

    def writer(self, name: str, body: JSON) -> CompletionWriter:
        options = body.get("stream_options") or {}
        return CompletionWriter(name, include_usage=bool(options.get("include_usage")))

    def count(self, sent: JSON, text: str) -> tuple[int, int]:
        if "messages" in sent:
            return tokens.estimate_chat(sent), tokens.estimate(text)
        return tokens.estimate_input(sent["prompt"]), tokens.estimate(text)

    def written(self, built: JSON) -> str:
        return "".join(choice["text"] for choice in built["choices"])
