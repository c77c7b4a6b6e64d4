"""``POST /chat/completions``."""

from typing import Any

from inference import tokens
from inference.context import upstream_chat
from inference.endpoints import ENDPOINTS
from inference.routing import Target
from inference.shapes.chat import ChunkWriter, completion, written
from inference.shapes.chat_request import check_chat
from inference.views.generation import GenerationView

JSON = dict[str, Any]


class ChatCompletionsView(GenerationView):
    endpoint = ENDPOINTS["chat"]

    def check(self, body: JSON) -> None:
        check_chat(body)

    def prepare(self, target: Target, body: JSON) -> JSON:
        return upstream_chat(target, body, self.auth.tenant_id)

    def build(self, answer: JSON, name: str) -> JSON:
        return completion(answer, name, self.auth.tenant_id)

    def writer(self, name: str, body: JSON) -> ChunkWriter:
        options = body.get("stream_options") or {}
        return ChunkWriter(name, self.auth.tenant_id, include_usage=bool(options.get("include_usage")))

    def count(self, sent: JSON, text: str) -> tuple[int, int]:
        return tokens.estimate_messages(sent["messages"]), tokens.estimate(text)

    def written(self, built: JSON) -> str:
        return "".join(written(choice["message"]) for choice in built["choices"])
