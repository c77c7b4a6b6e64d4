"""``POST /conversations/files``: uploads into a conversation, which is named by a header."""

from django.db import transaction

from files.models import Dataset, File
from files.uploads.store import FileUpload
from files.validation import refuse_file_expiry
from files.views.uploads import FileUploadView
from gtapi.database import in_thread
from gtapi.errors import NotFound
from gtapi.validation import missing
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse
from inference.chat import conversations
from inference.chat.conversation_header import (
    CONVERSATION,
    CONVERSATION_SCOPE,
    HasConversationScope,
    conversation_of,
)
from inference.endpoints.conversations.view import ConversationView
from tenants.permissions import HasScope


class ConversationFilesView(FileUploadView, ConversationView):
    """Files that are searched when the conversation continues."""

    route = "/conversations/files"
    scope = "files:write"
    permissions = (HasScope(), HasConversationScope())

    async def post(self, request: APIRequest) -> JSONResponse:
        conversation_id = conversation_of(request)
        if not conversation_id:
            raise missing("X-GT-Conversation-Id")
        # Checked before the file is received; the form that follows may name the end user.
        await in_thread(conversations.owned, self.auth.id, conversation_id)
        async with self.receive(request) as received:
            refuse_file_expiry(received.form)
            user = self.user(request, {"user": received.form.get("user")})
            dataset = await in_thread(self._dataset, conversation_id, user)
            upload = FileUpload(
                self.auth.tenant_id,
                self.auth.id,
                File.Origin.CONVERSATION,
                received.incoming,
                dataset=dataset,
                idempotency_key=received.idempotency_key,
                scopes=(self.scope, CONVERSATION_SCOPE),
            )
            try:
                response = await self.store(upload)
            except NotFound as error:
                # The dataset, which clients do not know, was deleted with the conversation during the upload.
                raise conversations.no_conversation(conversation_id) from error
        response.headers[CONVERSATION] = conversation_id
        return response

    @transaction.atomic
    def _dataset(self, conversation_id: str, user: str) -> Dataset:
        return conversations.files_dataset(self.owned(conversation_id, user, lock=True))
