"""The routes of files and datasets, under the API's base URL."""

from django.urls import URLPattern, path

from files.views.datasets import DatasetDetailView, DatasetsView
from files.views.files import FilesView, FileView

urlpatterns: list[URLPattern] = [
    path("files", FilesView.as_view()),
    path("files/<str:file_id>", FileView.as_view()),
    path("datasets", DatasetsView.as_view()),
    path("datasets/<str:dataset_id>", DatasetDetailView.as_view()),
]
