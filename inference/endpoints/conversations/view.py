"""The routes under ``/conversations``: conversations that the gateway stores for a key."""

from django.db import transaction
from django.db.models import Q

from gtapi.database import in_thread
from gtapi.errors import NotFound
from gtapi.json_types import JSON
from gtapi.validation import check_metadata, invalid, missing, of_type
from gtapi.web.pagination import PageQuery, list_object
from gtapi.web.request import APIRequest
from gtapi.web.responses import JSONResponse
from inference.chat import conversations
from inference.endpoints.conversations.schema import (
    conversation_object,
    item_objects,
    message_id,
    messages_of,
)
from inference.models import Conversation, Item
from tenants.views import AuthenticatedView

#: Longest name of an end user, in characters.
MAX_USER = 200


class ConversationView(AuthenticatedView):
    """Base of the conversation routes: their scope, and access to a conversation by key and end user."""

    scope = "conversations:write"

    def user(self, request: APIRequest, body: JSON | None = None) -> str:
        """Return the end user that a request speaks for, from its body or its query."""
        body_user = (body or {}).get("user")
        if body_user is not None:
            of_type(str)("user", body_user)
        user = str(body_user or request.GET.get("user") or "")
        if len(user) > MAX_USER:
            # A truncated name could be that of another end user.
            raise invalid("user", f"expected at most {MAX_USER} characters, but got {len(user)}")
        if "\0" in user:
            raise invalid("user", "it contains a NUL character")
        return user

    def owned(self, conversation_id: str, user: str, *, lock: bool = False) -> Conversation:
        return conversations.find(self.auth.id, conversation_id, user, lock=lock)


class ConversationsView(ConversationView):
    route = "/conversations"

    async def post(self, request: APIRequest) -> JSONResponse:
        body = await request.json(optional=True)
        user, metadata = self.user(request, body), check_metadata(body.get("metadata"))
        messages = messages_of(body.get("items"))
        return JSONResponse(await in_thread(self._create, user, metadata, messages, request.request_id))

    @transaction.atomic
    def _create(self, user: str, metadata: JSON, messages: list[JSON], request_id: str) -> JSON:
        conversation = Conversation.objects.create(
            tenant_id=self.auth.tenant_id, key_id=self.auth.id, user=user, metadata=metadata
        )
        conversations.add(conversation, messages, request_id)
        return conversation_object(conversation)


class ConversationDetailView(ConversationView):
    route = "/conversations/{id}"

    async def get(self, request: APIRequest, conversation_id: str) -> JSONResponse:
        return JSONResponse(
            conversation_object(await in_thread(self.owned, conversation_id, self.user(request)))
        )

    async def post(self, request: APIRequest, conversation_id: str) -> JSONResponse:
        body = await request.json()
        if "metadata" not in body:
            raise missing("metadata")
        metadata = check_metadata(body["metadata"])
        return JSONResponse(
            await in_thread(self._update, conversation_id, self.user(request, body), metadata)
        )

    @transaction.atomic
    def _update(self, conversation_id: str, user: str, metadata: JSON) -> JSON:
        conversation = self.owned(conversation_id, user, lock=True)
        conversation.metadata = metadata
        conversation.save(update_fields=["metadata"])
        return conversation_object(conversation)

    async def delete(self, request: APIRequest, conversation_id: str) -> JSONResponse:
        await in_thread(self._delete, conversation_id, self.user(request))
        return JSONResponse({"id": conversation_id, "object": "conversation.deleted", "deleted": True})

    @transaction.atomic
    def _delete(self, conversation_id: str, user: str) -> None:
        conversations.remove(self.owned(conversation_id, user, lock=True))


class ItemsView(ConversationView):
    route = "/conversations/{id}/items"

    async def get(self, request: APIRequest, conversation_id: str) -> JSONResponse:
        paging = PageQuery.from_request(request)
        return JSONResponse(await in_thread(self._list, conversation_id, self.user(request), paging))

    def _list(self, conversation_id: str, user: str, paging: PageQuery) -> JSON:
        conversation = self.owned(conversation_id, user)
        objects = [built for item in self._part(conversation, paging) for built in item_objects(item)]
        return list_object(*paging.paginate_list(objects))

    @staticmethod
    def _part(conversation: Conversation, paging: PageQuery) -> list[Item]:
        """Return the messages that a page is made of, the oldest first, with those that its cursors name."""
        rows = known = conversations.active_items(conversation)
        descending = paging.order == "desc"
        for cursor, later in ((paging.after, not descending), (paging.before, descending)):
            position = known.filter(pk=message_id(cursor)).values_list("turn__number", "position")
            row = position.first() if cursor else None
            if row is not None:
                beyond = "gt" if later else "lt"
                same = Q(("turn__number", row[0]), (f"position__{beyond}e", row[1]))
                rows = rows.filter(Q((f"turn__number__{beyond}", row[0])) | same)
        if paging.after and paging.before:
            return list(rows)
        newest_first = descending != bool(paging.before)
        # Each message has at least one item. Two more than the page: the item of the cursor, and one that shows
        # whether there are more.
        items = list((rows.reverse() if newest_first else rows)[: paging.limit + 2])
        return items[::-1] if newest_first else items

    async def post(self, request: APIRequest, conversation_id: str) -> JSONResponse:
        body = await request.json()
        if body.get("items") is None:
            raise missing("items")
        messages = messages_of(body["items"])
        return JSONResponse(
            await in_thread(
                self._add, conversation_id, self.user(request, body), messages, request.request_id
            )
        )

    @transaction.atomic
    def _add(self, conversation_id: str, user: str, messages: list[JSON], request_id: str) -> JSON:
        items = conversations.add(self.owned(conversation_id, user, lock=True), messages, request_id)
        return list_object([built for item in items for built in item_objects(item)], has_more=False)


class ItemView(ConversationView):
    route = "/conversations/{id}/items/{item_id}"

    async def get(self, request: APIRequest, conversation_id: str, item_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(self._get, conversation_id, self.user(request), item_id))

    def _get(self, conversation_id: str, user: str, item_id: str) -> JSON:
        item = self._item(self.owned(conversation_id, user), item_id)
        return next(built for built in item_objects(item) if built["id"] == item_id)

    async def delete(self, request: APIRequest, conversation_id: str, item_id: str) -> JSONResponse:
        return JSONResponse(await in_thread(self._delete, conversation_id, self.user(request), item_id))

    @transaction.atomic
    def _delete(self, conversation_id: str, user: str, item_id: str) -> JSON:
        conversation = self.owned(conversation_id, user, lock=True)
        conversations.delete_item(conversation, self._item(conversation, item_id))
        return conversation_object(conversation)

    def _item(self, conversation: Conversation, item_id: str) -> Item:
        """Return the message that an item is, or is a part of."""
        item = conversations.active_items(conversation).filter(pk=message_id(item_id)).first()
        if item is not None and any(built["id"] == item_id for built in item_objects(item)):
            return item
        raise NotFound(f"There is no item '{item_id}' in this conversation.")
