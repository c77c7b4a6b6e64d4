"""URLs of the naive gateway: the measured route and a health check."""

from django.http import HttpResponse
from django.urls import path

from benchmarks.naive.views import ChatCompletions

urlpatterns = [
    path("api/tenant/v1/chat/completions", ChatCompletions.as_view()),
    path("healthz", lambda _request: HttpResponse("ok")),
]
