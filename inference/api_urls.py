"""The routes under the API's base URL, with and without ``/v1``."""

from django.urls import path

from inference.views.chat import ChatCompletionsView
from inference.views.models import ModelsView, ModelView

urlpatterns = [
    path("models", ModelsView.as_view()),
    path("models/<path:name>", ModelView.as_view()),
    path("chat/completions", ChatCompletionsView.as_view()),
]
