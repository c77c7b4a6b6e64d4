"""The routes of files and datasets, under the API's base URL."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
