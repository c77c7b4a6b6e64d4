"""The routes of files and datasets, under the API's base URL."""

from django.urls import URLPattern, path

from files.views.files import FilesView, FileView

urlpatterns: list[URLPattern] = [
    path("files", FilesView.as_view()),
    path("files/<str:file_id>", FileView.as_view()),
]
