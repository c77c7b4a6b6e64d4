"""Admin of datasets: their files and progress, search settings and access, with uploads and a trial search."""

from dataclasses import asdict
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.widgets import UnfoldAdminSelectWidget

from files.admin import search, states, uploads
from files.admin.metrics import summary, summary_of_each
from files.ingestion.reprocess import reprocess
from files.ingestion.wakeup import wake
from files.models import ChunkVector, Dataset, DatasetFile, DatasetGrant
from files.uploads import deletion
from files.uploads.quotas import Quotas
from gtapi.templatetags.amounts import ago, ahead
from gtapi.templatetags.amounts import size as size_text
from gtapi.text import pluralize
from tenants.admin.base import DetailAdmin, TenantOwnedAdmin, TenantOwnedForm, badge
from tenants.admin.theme import ActionVariant, display, page_action
from tenants.admin.widgets import CheckRows
from tenants.models import InferenceKey


class DatasetForm(TenantOwnedForm[Dataset]):
    embedding = forms.ChoiceField(
        required=False,
        widget=UnfoldAdminSelectWidget,
        label="Embedding model",
        help_text="The catalog entry that embeds texts for semantic search. Without one, search is full-text only.",
    )
    keys = forms.ModelMultipleChoiceField(
        InferenceKey.objects.none(),
        required=False,
        widget=CheckRows(empty="This tenant has no active key."),
        label="Keys",
        help_text="Keys that may use the dataset directly. Agents need no grant.",
    )

    class Meta:
        model = Dataset
        fields = ("name", "title", "embedding", "by_client")
        help_texts = {"title": "In any words, for people. A vector store goes by it. Empty: by the name."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "embedding" not in self.fields:
            return
        # The catalog is of an app above this one: it is reached by name, as the dataset itself does.
        can_embed = self.tenant.targets.filter(catalogentry__capabilities__contains=["embed"])
        names = list(can_embed.values_list("name", flat=True))
        if self.instance.embedding and self.instance.embedding not in names:
            names.append(self.instance.embedding)
        embedding: Any = self.fields["embedding"]
        embedding.choices = [("", "Full-text search only"), *((name, name) for name in names)]
        keys: Any = self.fields["keys"]
        keys.queryset = InferenceKey.objects.filter(tenant=self.tenant).live()
        if not self.instance._state.adding:  # noqa: SLF001 - Django's documented flag
            self.initial["keys"] = list(self.instance.grants.values_list("key_id", flat=True))

    def save_grants(self, dataset: Dataset) -> None:
        """Store the grants of the form; grants of inactive keys stay as they are."""
        chosen = {key.pk for key in self.cleaned_data["keys"]}
        offered: Any = self.fields["keys"]
        held = set(dataset.grants.filter(key__in=offered.queryset).values_list("key_id", flat=True))
        dataset.grants.filter(key_id__in=held - chosen).delete()
        DatasetGrant.objects.bulk_create(
            DatasetGrant(key_id=pk, dataset=dataset) for pk in sorted(chosen - held)
        )


def _indexed(dataset: Dataset) -> int:
    """Return how many chunks already have a vector in the generation that is being built."""
    if not dataset.embedding or dataset.next_embedding != dataset.embedding:
        return 0
    made = ChunkVector.objects.filter(
        tenant=dataset.tenant_id, dataset=dataset, generation=dataset.next_generation
    )
    return made.count()


#: Newest files on a dataset's page.
RECENT_FILES = 25


@admin.register(Dataset)
class DatasetAdmin(DetailAdmin[Dataset], TenantOwnedAdmin[Dataset]):
    form = DatasetForm
    list_display = ("heading", "tenant", "files", "size", "chunks", "search", "users", "last_used", "created")
    list_filter = (("tenant", RelatedDropdownFilter), "by_client")
    search_fields = ("name", "title", "=id")
    search_help_text = "Name or id"
    empty_text = (
        "A dataset holds the documents that agents answer from. Add one, then upload files on its page."
    )
    readonly_fields = ("id", "created_at", "last_active_at", "expires")
    actions_detail = ("search_page",)
    change_form_outer_before_template = "admin/files/dataset/overview.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dataset]:
        one = Dataset.objects.filter(pk=OuterRef("pk")).order_by()
        counted = {
            f"{relation}_n": Subquery(
                one.annotate(n=Count(relation)).values("n"), output_field=IntegerField()
            )
            for relation in ("grants", "agents")
        }
        # The files of a conversation are shown on its page.
        visible = super().get_queryset(request).filter(hidden=False)
        return visible.annotate(**counted, figures=summary_of_each())

    def get_fieldsets(self, request: HttpRequest, obj: Dataset | None = None) -> Any:
        facts = ("id", "created_at", "last_active_at") if obj else ()
        if obj and obj.by_client:
            facts = ("by_client", *facts, "expires")
        fields: list[Any] = [
            ("Settings" if obj else None, {"fields": ("tenant", "name", "title", "embedding", *facts)})
        ]
        if obj is None or self.has_change_permission(request, obj):
            fields.append(("Access", {"fields": ("keys",)}))
        return fields

    def save_model(self, request: HttpRequest, obj: Dataset, form: Any, change: bool) -> None:
        if "embedding" in form.changed_data:
            obj.embedding_requested_by = None
        if not obj.by_client:
            obj.expires_after = None
        super().save_model(request, obj, form, change)
        if obj.embedding != obj.indexed_embedding:
            wake()

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        form.save_grants(form.instance)

    # --- detail page ---------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                "<str:object_id>/progress/",
                self.admin_site.admin_view(self.progress_view),
                name="files_dataset_progress",
            ),
            path(
                "<str:object_id>/upload/",
                # The permission is checked before the form is read; the CSRF token is checked with the form.
                self.admin_site.admin_view(csrf_exempt(self.upload_view)),
                name="files_dataset_upload",
            ),
            path(
                "<str:object_id>/again/",
                self.admin_site.admin_view(self.again_page),
                name="files_dataset_again_page",
            ),
        ]
        return own + super().get_urls()

    def detail_context(self, request: HttpRequest, dataset: Dataset) -> dict[str, Any]:
        """Return the context of the overview: figures, index, agents and newest files."""
        may_see = request.user.has_perm("files.view_datasetfile")
        return {
            "overview": dataset,
            "summary": summary(dataset),
            "indexing": dataset.indexed_embedding != dataset.embedding and not dataset.index_error,
            "indexed": _indexed(dataset),
            "agents": list(dataset.agents.values_list("pk", "name")),
            "dataset_files": self._newest(dataset) if may_see else [],
            "may_see": may_see,
            "may_upload": self.may_upload(request),
            "max_bytes": Quotas.of(dataset.tenant_id).file_bytes,
            "may_process": request.user.has_perm("files.change_datasetfile"),
            "all_files": f"{reverse('admin:files_datasetfile_changelist')}?dataset={dataset.pk}",
        }

    def _newest(self, dataset: Dataset) -> list[DatasetFile]:
        dataset_files = dataset.dataset_files.select_related("file", "file__key")
        return list(dataset_files.order_by("-created_at", "-pk")[:RECENT_FILES])

    def progress_view(self, request: HttpRequest, object_id: str) -> JsonResponse:
        """Return the state of a dataset's files; its page polls this while files are processed."""
        dataset = self.fetch(request, object_id, "view")
        context = self.detail_context(request, dataset)
        rows = states.updates(context["dataset_files"])
        for row, dataset_file in zip(rows, context["dataset_files"], strict=True):
            row["row"] = render_to_string(
                "admin/files/dataset/row.html", {**context, "dataset_file": dataset_file}, request
            )
        figures = context["summary"]
        return JsonResponse(
            {
                "working": figures.working + context["indexing"],
                "dataset_files": rows,
                "parts": {
                    f"dataset-{part}": render_to_string(f"admin/files/dataset/{part}.html", context, request)
                    for part in ("figures", "index")
                },
            }
        )

    def upload_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Store uploaded files in a dataset; the page's script sends each in a separate request."""
        dataset = self.fetch(request, object_id, "view")
        if not self.may_upload(request):
            raise PermissionDenied
        if request.method != "POST":
            return self.back_to(dataset)
        uploads.to_disk(request)
        return csrf_protect(partial(self._store_files, dataset=dataset))(request)

    def _store_files(self, request: HttpRequest, dataset: Dataset) -> HttpResponse:
        scripted = uploads.wants_json(request)
        refused = uploads.too_large(request, dataset) if scripted else None
        if refused is not None:
            return JsonResponse({"error": refused.message}, status=refused.status)
        received = uploads.receive(dataset, request.FILES.getlist("files"))
        if added := [one.name for one in received if one.created]:
            self.log_change(request, dataset, f"Uploaded {', '.join(added)}.")
        if scripted:
            failed = next((one.status for one in received if one.error), 200)
            return JsonResponse({"files": [asdict(one) for one in received]}, status=failed)
        for one in received:
            level = "ERROR" if one.error else "SUCCESS" if one.created else "WARNING"
            self.message_user(request, f"{one.name}: {one.error or one.said}", level)
        if not received:
            self.message_user(request, "No file was chosen.", "WARNING")
        return self.back_to(dataset)

    def may_upload(self, request: HttpRequest) -> bool:
        return request.user.has_perm("files.add_datasetfile")

    def has_search_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Search results show the content of files.
        may_see = request.user.has_perm("files.view_datasetfile")
        return may_see and self.has_view_permission(request)

    @page_action(
        description="Try a search",
        url_path="search",
        icon="search",
        permissions=["search"],
        variant=ActionVariant.PRIMARY,
    )
    def search_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        dataset = self.fetch(request, object_id, "view")
        form = search.SearchForm(request.POST if request.method == "POST" else None)
        trial = None
        if form.is_bound and form.is_valid():
            trial = search.attempt(dataset, **form.cleaned_data)
        return self.page(
            request,
            "admin/files/dataset/search.html",
            "Try a search",
            dataset,
            form=form,
            trial=trial,
            summary=summary(dataset),
        )

    def again_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Process all failed files of a dataset again."""
        dataset = self.fetch(request, object_id, "view")
        if not request.user.has_perm("files.change_datasetfile"):
            raise PermissionDenied
        failed = summary(dataset).failed
        if request.method == "POST":
            dataset_files = dataset.dataset_files.filter(state=DatasetFile.State.FAILED)
            begun = reprocess(dataset_files, None)
            self.log_change(request, dataset, f"Processed {pluralize(begun, 'failed file')} again.")
            said = f"{pluralize(begun, 'file')} to be processed again."
            self.message_user(request, said, "SUCCESS" if begun else "WARNING")
            return self.back_to(dataset)
        return self.confirm(
            request,
            f"Process {pluralize(failed, 'failed file')} again",
            "Process again",
            ["Each file is extracted, chunked and embedded again. Unreadable files fail again."],
            obj=dataset,
        )

    # --- deletion -------------------------------------------------------------------------------------------

    def delete_model(self, request: HttpRequest, obj: Dataset) -> None:
        deletion.delete_dataset(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Dataset]) -> None:
        for dataset in queryset:
            deletion.delete_dataset(dataset)

    # --- columns --------------------------------------------------------------------------------------------

    @display(description="Dataset", ordering="name", header=True)
    def heading(self, dataset: Dataset) -> list[str]:
        named = dataset.title or dataset.pk
        return [dataset.name, f"{named} · made by a client" if dataset.by_client else named]

    @display(description="Files")
    def files(self, dataset: Dataset) -> str:
        found = summary(dataset)
        badges = [
            badge(f"{count:,} {word}", variant)
            for count, word, variant in (
                (found.ready, "ready", "success"),
                (found.working, "processing", "info"),
                (found.failed, "failed", "danger"),
            )
            if count
        ]
        if not badges:
            return "none" if not found.files else f"{found.files:,} cancelled"
        return format_html(
            "<div class='gt-badges'>{}</div>", format_html_join("", "{}", ((one,) for one in badges))
        )

    @display(description="Size")
    def size(self, dataset: Dataset) -> str:
        return size_text(summary(dataset).bytes)

    @display(description="Chunks")
    def chunks(self, dataset: Dataset) -> str:
        return f"{summary(dataset).chunks:,}"

    @display(description="Embedding model", ordering="embedding")
    def search(self, dataset: Dataset) -> str:
        by = dataset.embedding or "full-text search only"
        if dataset.index_error:
            return format_html("{} {}", by, badge("index failed", "danger", dataset.index_error[:200]))
        if dataset.embedding != dataset.indexed_embedding:
            return format_html("{} {}", by, badge("re-indexing", "info"))
        return by

    @display(description="Last used", ordering="last_active_at", header=True)
    def last_used(self, dataset: Dataset) -> list[str]:
        used = ago(dataset.last_active_at) if dataset.last_active_at else "unknown"
        ending = "expired" if dataset.expired else "expires"
        return [used, f"{ending} {self.expires(dataset)}" if dataset.expires_at else ""]

    @display(description="Expires")
    def expires(self, dataset: Dataset) -> str:
        if dataset.expires_at is None:
            return "never"
        return ago(dataset.expires_at) if dataset.expired else f"{ahead(dataset.expires_at)}, unless used"

    @display(description="Created", ordering="created_at")
    def created(self, dataset: Dataset) -> str:
        return ago(dataset.created_at)

    @display(description="Used by", ordering="grants_n", header=True)
    def users(self, dataset: Any) -> list[str]:
        return [pluralize(dataset.grants_n, "key"), pluralize(dataset.agents_n, "agent")]
