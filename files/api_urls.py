"""URL patterns of files, datasets and vector stores, below the API's base URL."""

from django.urls import URLPattern, path

from files.views.dataset_files import DatasetFilesView, DatasetFileView
from files.views.datasets import DatasetDetailView, DatasetsView
from files.views.files import FileContentView, FilesView, FileView
from files.views.search import DatasetSearchView, VectorStoreSearchView
from files.views.vector_store_files import (
    FileBatchCancelView,
    FileBatchDetailView,
    FileBatchesView,
    FileBatchFilesView,
    StoreFileContentView,
    StoreFileDetailView,
    StoreFilesView,
)
from files.views.vector_stores import VectorStoreDetailView, VectorStoresView

urlpatterns: list[URLPattern] = [
    path("files", FilesView.as_view()),
    path("files/<str:file_id>", FileView.as_view()),
    path("datasets", DatasetsView.as_view()),
    path("datasets/<str:dataset_id>", DatasetDetailView.as_view()),
    path("files/<str:file_id>/content", FileContentView.as_view()),
    path("datasets/<str:dataset_id>/files", DatasetFilesView.as_view()),
    path("datasets/<str:dataset_id>/files/<str:file_id>", DatasetFileView.as_view()),
    path("datasets/<str:dataset_id>/search", DatasetSearchView.as_view()),
    path("vector_stores", VectorStoresView.as_view()),
    path("vector_stores/<str:dataset_id>", VectorStoreDetailView.as_view()),
    path("vector_stores/<str:dataset_id>/search", VectorStoreSearchView.as_view()),
    path("vector_stores/<str:dataset_id>/files", StoreFilesView.as_view()),
    path("vector_stores/<str:dataset_id>/files/<str:file_id>", StoreFileDetailView.as_view()),
    path("vector_stores/<str:dataset_id>/files/<str:file_id>/content", StoreFileContentView.as_view()),
    path("vector_stores/<str:dataset_id>/file_batches", FileBatchesView.as_view()),
    path("vector_stores/<str:dataset_id>/file_batches/<str:batch_id>", FileBatchDetailView.as_view()),
    path("vector_stores/<str:dataset_id>/file_batches/<str:batch_id>/cancel", FileBatchCancelView.as_view()),
    path("vector_stores/<str:dataset_id>/file_batches/<str:batch_id>/files", FileBatchFilesView.as_view()),
]
