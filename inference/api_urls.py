"""The routes under the API's base URL; ``gtapi.urls`` includes them with and without ``/v1``."""

from django.urls import path
from django.utils.module_loading import import_string

from files.api_urls import urlpatterns as files_urlpatterns
from inference.endpoints import ENDPOINTS
from inference.endpoints.conversation_files.view import ConversationFilesView
from inference.endpoints.conversations.view import (
    ConversationDetailView,
    ConversationsView,
    ItemsView,
    ItemView,
)
from inference.endpoints.image_files.view import ImageFileView
from inference.endpoints.models.view import ModelsView, ModelView
from inference.endpoints.reference.view import DescriptionView, ReferenceView

urlpatterns = [
    *files_urlpatterns,
    *(
        path(endpoint.path.removeprefix("/"), import_string(endpoint.view_path).as_view())
        for endpoint in ENDPOINTS.values()
    ),
    path("conversations", ConversationsView.as_view()),
    # Before a conversation's own URL, which would take it for an id.
    path("conversations/files", ConversationFilesView.as_view()),
    path("conversations/<str:conversation_id>", ConversationDetailView.as_view()),
    path("conversations/<str:conversation_id>/items", ItemsView.as_view()),
    path("conversations/<str:conversation_id>/items/<str:item_id>", ItemView.as_view()),
    path("images/files/<str:name>", ImageFileView.as_view()),
    path("models", ModelsView.as_view()),
    path("models/<path:name>", ModelView.as_view()),
    path("openapi.json", DescriptionView.as_view()),
    path("docs", ReferenceView.as_view()),
]
