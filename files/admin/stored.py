"""Admin of stored files, whether or not they are in a dataset."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Count, Exists, IntegerField, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RelatedDropdownFilter

from files.admin import downloads
from files.models import DatasetFile, File
from files.uploads import deletion
from gtapi.templatetags.amounts import ago, ahead
from gtapi.templatetags.amounts import size as size_text
from tenants.admin.base import ReadOnlyAdmin
from tenants.admin.theme import display

if TYPE_CHECKING:
    from django.contrib.admin import SimpleListFilter as _Dropdown
else:
    _Dropdown = DropdownFilter


class UseFilter(_Dropdown):
    title = "use"
    parameter_name = "use"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("used", "In a dataset or conversation"), ("unused", "In none")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[File]) -> QuerySet[File]:
        used = Exists(DatasetFile.objects.filter(file=OuterRef("pk")))
        chosen = {"used": used, "unused": ~used}.get(self.value() or "")
        return queryset if chosen is None else queryset.filter(chosen)


@admin.register(File)
class FileAdmin(ReadOnlyAdmin[File]):
    count_only = True
    list_display = ("heading", "tenant", "size", "source", "dataset_file_count", "uploaded", "expires")
    list_filter = (("tenant", RelatedDropdownFilter), ("origin", ChoicesDropdownFilter), UseFilter)
    list_select_related = ("tenant", "key")
    search_fields = ("filename", "=id", "=sha256")
    search_help_text = "Name, id or checksum"
    empty_text = "All files that operators and clients have uploaded, whether or not they are in a dataset."
    empty_link = ("files_dataset", "Open the datasets")
    change_form_outer_before_template = "admin/files/file/page.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[File]:
        dataset_files = DatasetFile.objects.filter(file=OuterRef("pk")).order_by().values("file")
        count = Subquery(dataset_files.annotate(n=Count("pk")).values("n"), output_field=IntegerField())
        return (
            super().get_queryset(request).select_related("tenant", "key").annotate(dataset_file_count=count)
        )

    # --- detail page ---------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                "<str:object_id>/content/",
                self.admin_site.admin_view(self.content_view),
                name="files_file_content",
            ),
        ]
        return own + super().get_urls()

    def detail_context(self, request: HttpRequest, file: File) -> dict[str, Any]:
        if not request.user.has_perm("files.view_datasetfile"):
            return {"file": file}
        related = ("file", "file__key", "dataset", "dataset__conversation")
        return {"file": file, "dataset_files": file.dataset_files.select_related(*related)}

    def content_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Return a file's bytes as an attachment: clients' content is never rendered."""
        return downloads.attachment(request, self.fetch(request, object_id, "view"))

    # --- deletion -------------------------------------------------------------------------------------------

    def delete_model(self, request: HttpRequest, obj: File) -> None:
        deletion.delete_file(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[File]) -> None:
        for file in queryset:
            deletion.delete_file(file)

    # --- columns --------------------------------------------------------------------------------------------

    @display(description="File", ordering="filename", header=True)
    def heading(self, file: File) -> list[str]:
        return [file.filename, file.pk]

    @display(description="Size", ordering="bytes")
    def size(self, file: File) -> str:
        return size_text(file.bytes)

    @display(description="Source", ordering="origin")
    def source(self, file: File) -> str:
        return file.get_origin_display()

    @display(description="Datasets", ordering="dataset_file_count", empty_value="none")
    def dataset_file_count(self, file: Any) -> str | None:
        return f"{file.dataset_file_count:,}" if file.dataset_file_count else None

    @display(description="Uploaded", ordering="created_at", header=True)
    def uploaded(self, file: File) -> list[str]:
        return [ago(file.created_at), f"by {file.key.name if file.key else 'an operator'}"]

    @display(description="Expires", ordering="expires_at", empty_value="never")
    def expires(self, file: File) -> str | None:
        return ahead(file.expires_at) if file.expires_at else None
