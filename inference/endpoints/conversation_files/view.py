"""``/conversations/files``: uploads into a thread, which is named by a header."""

from django.db import transaction

from files.models import Dataset, File
from files.uploads.store import FileUpload
from files.validation import refuse_file_expiry
from files.views.uploads import FileUploadView
from gtapi.database import in_thread
from gtapi.errors import NotFound, PermissionDenied
from gtapi.validation import missing
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse
from inference.chat import conversations
from inference.endpoints.conversations.view import ConversationView
from inference.views.chat import CONVERSATION, CONVERSATION_SCOPE


class ConversationFilesView(FileUploadView, ConversationView):
    """What is uploaded here is searched when the thread goes on."""

    route = "/conversations/files"
    scope = "files:write"

    async def post(self, request: APIRequest) -> JSONResponse:
        conversation_id = request.header(CONVERSATION.encode())
        if not conversation_id:
            raise missing("X-GT-Conversation-Id")
        if CONVERSATION_SCOPE not in self.auth.scopes:
            raise PermissionDenied(
                f"This API key lacks the scope '{CONVERSATION_SCOPE}', which '{CONVERSATION}' needs."
            )
        # Whether it is the key's at all shows before the file is sent, whose form may name the end user.
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
                # Its dataset went with the thread while the file came, and is nothing that clients know of.
                raise conversations.no_conversation(conversation_id) from error
        response.headers[CONVERSATION] = conversation_id
        return response

    @transaction.atomic
    def _dataset(self, conversation_id: str, user: str) -> Dataset:
        return conversations.files_of(self.owned(conversation_id, user, lock=True))
