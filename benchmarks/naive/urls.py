"""The one route that is measured, and the sign of life that the harness waits for."""

from django.http import HttpResponse
from django.urls import path

from benchmarks.naive.views import ChatCompletions

urlpatterns = [
    path("api/tenant/v1/chat/completions", ChatCompletions.as_view()),
    path("healthz", lambda _request: HttpResponse("ok")),
]
