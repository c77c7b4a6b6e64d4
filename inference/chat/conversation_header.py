"""The header ``X-GT-Conversation-Id``, which names the conversation that a request continues, and its scope."""

from typing import Any

from gtapi.errors import PermissionDenied
from gtapi.web.request import APIRequest

CONVERSATION = "x-gt-conversation-id"
CONVERSATION_SCOPE = "conversations:write"


def conversation_of(request: APIRequest) -> str:
    """Return the id in the header, or an empty text."""
    return request.header(b"x-gt-conversation-id")


class HasConversationScope:
    """Permission to send the header: its scope, in addition to the endpoint's own."""

    def check(self, request: APIRequest, view: Any) -> None:
        """Raise ``PermissionDenied`` where a key without the scope names a conversation."""
        if CONVERSATION_SCOPE not in view.auth.scopes and conversation_of(request):
            raise PermissionDenied(
                f"This API key lacks the scope '{CONVERSATION_SCOPE}', which '{CONVERSATION}' needs."
            )
