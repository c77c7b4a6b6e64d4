"""Admin of files in datasets: their state, chunks and errors."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.timesince import timesince
from unfold.contrib.filters.admin import DropdownFilter, RelatedDropdownFilter

from files.admin import downloads, states
from files.admin.metrics import WORKING
from files.ingestion.claims import MAX_ATTEMPTS, MAX_WORKER_DEATHS
from files.ingestion.reprocess import reprocess
from files.models import Chunk, Dataset, DatasetFile
from files.uploads import deletion
from gtapi.templatetags.amounts import ago
from gtapi.templatetags.amounts import size as size_text
from gtapi.text import pluralize
from tenants.admin.base import ReadOnlyAdmin
from tenants.admin.theme import display, page_action

if TYPE_CHECKING:
    from django.contrib.admin import SimpleListFilter as _Dropdown
else:
    _Dropdown = DropdownFilter

#: Most datasets in the filter, files in one progress update, and chunks on a page.
MAX_FILTER_DATASETS = 300
MAX_UPDATES = 200
CHUNKS_PER_PAGE = 20

#: Shown before files are processed again.
AGAIN = "The file is extracted, chunked and embedded again. Searches do not find it until it is ready."

STATES: dict[str, tuple[str, Q]] = {
    "work": ("Waiting or processing", Q(state__in=WORKING)),
    "ready": ("Ready", Q(state=DatasetFile.State.READY)),
    "failed": ("Failed", Q(state=DatasetFile.State.FAILED)),
    "cancelled": ("Cancelled", Q(state=DatasetFile.State.CANCELLED)),
}


class StateFilter(_Dropdown):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, label) for name, (label, _) in STATES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DatasetFile]) -> QuerySet[DatasetFile]:
        chosen = STATES.get(self.value() or "")
        return queryset.filter(chosen[1]) if chosen else queryset


class DatasetFilter(_Dropdown):
    """Filters by dataset, with one choice for the files of all conversations."""

    title = "dataset"
    parameter_name = "dataset"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        offered = Dataset.objects.visible().select_related("tenant").order_by("tenant__slug", "name")
        named = [(row.pk, f"{row.tenant.name}: {row.name}") for row in offered[:MAX_FILTER_DATASETS]]
        return [("conversations", "Files of conversations"), *named]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DatasetFile]) -> QuerySet[DatasetFile]:
        value = self.value() or ""
        if value == "conversations":
            return queryset.filter(dataset__hidden=True)
        return queryset.filter(dataset=value) if value and "\0" not in value else queryset


@admin.register(DatasetFile)
class DatasetFileAdmin(ReadOnlyAdmin[DatasetFile]):
    count_only = True
    list_display = ("heading", "where", "state_cell", "size", "chunks", "uploaded")
    list_filter = (("tenant", RelatedDropdownFilter), DatasetFilter, StateFilter)
    list_select_related = ("file", "file__key", "requested_by", "dataset", "dataset__conversation", "tenant")
    search_fields = ("file__filename", "=file__id", "=dataset__id", "=file__sha256")
    search_help_text = "Name or id of a file, or its checksum"
    empty_text = (
        "Files come into a dataset when an operator drops them onto its page, or a client uploads them."
    )
    empty_link = ("files_dataset", "Open the datasets")
    list_before_template = "admin/files/datasetfile/live.html"
    change_form_outer_before_template = "admin/files/datasetfile/page.html"
    actions = ("process_selected",)
    actions_detail = ("again_page",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DatasetFile]:
        return super().get_queryset(request).select_related(*self.list_select_related)

    def has_process_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # There are no fields to change, so the permission to change a file stands for this.
        return request.user.has_perm("files.change_datasetfile")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return super().changelist_view(request, {**(extra_context or {}), "title": "Files"})

    # --- detail page ---------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                "progress/",
                self.admin_site.admin_view(self.progress_view),
                name="files_datasetfile_progress",
            ),
            path(
                "<str:object_id>/content/",
                self.admin_site.admin_view(self.content_view),
                name="files_datasetfile_content",
            ),
        ]
        return own + super().get_urls()

    def detail_context(self, request: HttpRequest, dataset_file: DatasetFile) -> dict[str, Any]:
        return {
            "dataset_file": dataset_file,
            "state_html": states.cell(dataset_file),
            "steps": states.steps(dataset_file),
            "size": size_text(dataset_file.file.bytes),
            "took": _took(dataset_file),
            "most_attempts": MAX_ATTEMPTS,
            "most_deaths": MAX_WORKER_DEATHS,
            "elsewhere": list(
                DatasetFile.objects.filter(file=dataset_file.file_id)
                .exclude(pk=dataset_file.pk)
                .select_related("dataset")[:10]
            ),
            "chunk_page": _chunks(dataset_file, request.GET.get("chunks", "")),
            "may_download": self._may_download(request),
        }

    def progress_view(self, request: HttpRequest) -> JsonResponse:
        """Return the state of the files in ``ids``; pages poll this while any of them is waiting or processing."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        id_texts = [part for part in request.GET.get("ids", "").split(",") if part.isdecimal()]
        ids = [int(part) for part in id_texts[:MAX_UPDATES] if len(part) < 19]
        dataset_files = list(self.get_queryset(request).filter(pk__in=ids))
        return JsonResponse(
            {
                "working": sum(map(states.is_working, dataset_files)),
                "dataset_files": states.updates(dataset_files),
            }
        )

    def content_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Return a file's bytes as an attachment: clients' content is never rendered."""
        dataset_file = self.fetch(request, object_id, "view")
        if not self._may_download(request):
            raise PermissionDenied
        return downloads.attachment(request, dataset_file.file)

    def _may_download(self, request: HttpRequest) -> bool:
        # The state of a file and its content need different permissions.
        return request.user.has_perm("files.view_file")

    # --- processing again -------------------------------------------------------------------------------------

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        shown: list[Any] = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        working = DatasetFile.objects.filter(pk=object_id, state__in=WORKING)
        # The id in the URL may be anything.
        return [] if not str(object_id).isdecimal() or working.exists() else shown

    @page_action(description="Process again", url_path="again", icon="refresh", permissions=["process"])
    def again_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        dataset_file = self.fetch(request, object_id, "view")
        if states.is_working(dataset_file):
            self.message_user(request, f"{dataset_file.file} is already waiting or processing.", "WARNING")
            return self.back_to(dataset_file)
        if request.method != "POST":
            return self.confirm(
                request, f"Process {dataset_file.file} again", "Process again", [AGAIN], obj=dataset_file
            )
        self._processed(request, [dataset_file])
        return self.back_to(dataset_file)

    @admin.action(description="Process the selected files again", permissions=["process"])
    def process_selected(self, request: HttpRequest, queryset: QuerySet[DatasetFile]) -> HttpResponse | None:
        chosen = list(queryset)
        done = [dataset_file for dataset_file in chosen if not states.is_working(dataset_file)]
        if done and "confirm" not in request.POST:
            return self.confirm(
                request,
                f"Process {pluralize(len(done), 'file')} again",
                "Process again",
                [AGAIN],
                items=[f"{where_text(dataset_file)}: {dataset_file.file}" for dataset_file in done],
                hidden=[
                    ("action", "process_selected"),
                    *((ACTION_CHECKBOX_NAME, str(dataset_file.pk)) for dataset_file in done),
                ],
            )
        self._processed(request, chosen)
        return None

    def _processed(self, request: HttpRequest, dataset_files: list[DatasetFile]) -> None:
        one = DatasetFile.objects.filter
        begun = [dataset_file for dataset_file in dataset_files if reprocess(one(pk=dataset_file.pk), None)]
        for dataset_file in begun:
            self.log_change(request, dataset_file, "Processed it again.")
        said = f"{pluralize(len(begun), 'file')} to be processed again."
        if busy := len(dataset_files) - len(begun):
            said += f" {pluralize(busy, 'was,were')} already waiting or processing."
        self.message_user(request, said, "SUCCESS" if begun else "WARNING")

    # --- deletion -------------------------------------------------------------------------------------------

    def delete_model(self, request: HttpRequest, obj: DatasetFile) -> None:
        deletion.detach(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[DatasetFile]) -> None:
        for dataset_file in queryset:
            deletion.detach(dataset_file)

    # --- columns --------------------------------------------------------------------------------------------

    @display(description="File", ordering="file__filename", header=True)
    def heading(self, dataset_file: DatasetFile) -> list[str]:
        return [dataset_file.file.filename, dataset_file.file_id]

    @display(description="Dataset", ordering="dataset__name", header=True)
    def where(self, dataset_file: DatasetFile) -> list[str]:
        return [where_text(dataset_file), dataset_file.tenant.name]

    @display(description="State", ordering="state")
    def state_cell(self, dataset_file: DatasetFile) -> str:
        return states.cell(dataset_file)

    @display(description="Size", ordering="file__bytes")
    def size(self, dataset_file: DatasetFile) -> str:
        return size_text(dataset_file.file.bytes)

    @display(description="Chunks", ordering="chunk_count")
    def chunks(self, dataset_file: DatasetFile) -> str:
        return f"{dataset_file.chunk_count:,}"

    @display(description="Uploaded", ordering="created_at", header=True)
    def uploaded(self, dataset_file: DatasetFile) -> list[str]:
        return [ago(dataset_file.created_at), f"by {uploader(dataset_file)}"]


def where_text(dataset_file: DatasetFile) -> str:
    """Return the name of a file's dataset, or that it is in a conversation."""
    return "a conversation" if dataset_file.dataset.hidden else dataset_file.dataset.name


def uploader(dataset_file: DatasetFile) -> str:
    """Return who uploaded a file: the name of a key, or an operator."""
    return dataset_file.file.key.name if dataset_file.file.key else "an operator"


def _took(dataset_file: DatasetFile) -> str:
    if (
        dataset_file.started_at is None
        or dataset_file.ended_at is None
        or dataset_file.ended_at < dataset_file.started_at
    ):
        return ""
    seconds = (dataset_file.ended_at - dataset_file.started_at).total_seconds()
    return f"{seconds:.1f} s" if seconds < 120 else timesince(dataset_file.started_at, dataset_file.ended_at)


def _chunks(dataset_file: DatasetFile, number: str) -> Page[Chunk]:
    found = (
        Chunk.objects.of(dataset_file.tenant_id, [dataset_file.dataset_id])
        .filter(dataset_file=dataset_file)
        .order_by("position")
    )
    return Paginator(found.only("position", "text", "tokens", "page", "heading"), CHUNKS_PER_PAGE).get_page(
        number
    )
