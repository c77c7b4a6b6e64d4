"""The routes of files and datasets, under the API's base URL."""

from django.urls import URLPattern, path

from files.views.dataset_files import DatasetFilesView, DatasetFileView
from files.views.datasets import DatasetDetailView, DatasetsView
from files.views.files import FileContentView, FilesView, FileView

urlpatterns: list[URLPattern] = [
    path("files", FilesView.as_view()),
    path("files/<str:file_id>", FileView.as_view()),
    path("datasets", DatasetsView.as_view()),
    path("datasets/<str:dataset_id>", DatasetDetailView.as_view()),
    path("files/<str:file_id>/content", FileContentView.as_view()),
    path("datasets/<str:dataset_id>/files", DatasetFilesView.as_view()),
    path("datasets/<str:dataset_id>/files/<str:file_id>", DatasetFileView.as_view()),
]
