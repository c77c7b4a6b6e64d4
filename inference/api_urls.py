"""The routes under the API's base URL, with and without ``/v1``."""

from django.urls import path

from files.api_urls import urlpatterns as files_urlpatterns
from inference.endpoints.conversation_files.view import ConversationFilesView
from inference.endpoints.conversations.view import (
    ConversationDetailView,
    ConversationsView,
    ItemsView,
    ItemView,
)
from inference.endpoints.models.view import ModelsView, ModelView
from inference.endpoints.reference.view import DescriptionView, ReferenceView
from inference.views.audio import SpeechView, TranscriptionsView, TranslationsView
from inference.views.chat import ChatCompletionsView
from inference.views.completions import CompletionsView
from inference.views.embeddings import EmbeddingsView
from inference.views.images import ImageEditsView, ImageFileView, ImageGenerationsView, ImageVariationsView
from inference.views.moderations import ModerationsView

urlpatterns = [
    *files_urlpatterns,
    path("conversations", ConversationsView.as_view()),
    # Before a conversation's own address, which would take it for an id.
    path("conversations/files", ConversationFilesView.as_view()),
    path("conversations/<str:conversation_id>", ConversationDetailView.as_view()),
    path("conversations/<str:conversation_id>/items", ItemsView.as_view()),
    path("conversations/<str:conversation_id>/items/<str:item_id>", ItemView.as_view()),
    path("models", ModelsView.as_view()),
    path("models/<path:name>", ModelView.as_view()),
    path("chat/completions", ChatCompletionsView.as_view()),
    path("completions", CompletionsView.as_view()),
    path("embeddings", EmbeddingsView.as_view()),
    path("audio/transcriptions", TranscriptionsView.as_view()),
    path("audio/translations", TranslationsView.as_view()),
    path("audio/speech", SpeechView.as_view()),
    path("images/generations", ImageGenerationsView.as_view()),
    path("images/edits", ImageEditsView.as_view()),
    path("images/variations", ImageVariationsView.as_view()),
    path("images/files/<str:name>", ImageFileView.as_view()),
    path("moderations", ModerationsView.as_view()),
    path("openapi.json", DescriptionView.as_view()),
    path("docs", ReferenceView.as_view()),
]
