"""The admin of explanations: the search results and context chunks behind an answer."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.paginator import InfinitePaginator

from files.models import DatasetFile
from gtapi.templatetags.amounts import ago
from inference.models import Explanation
from tenants.admin.base import ReadOnlyAdmin
from tenants.admin.theme import display
from tenants.models import InferenceKey, Tenant, UsageRecord

#: What a passage that was recorded may lack.
EMPTY = {
    "file_id": "", "filename": "", "page": None, "given": False,
    "relevance": None, "similarity": None, "score": None,
}  # fmt: skip
#: What it says once its file is gone.
GONE = {"heading": "", "text": None}


@admin.register(Explanation)
class ExplanationAdmin(ReadOnlyAdmin[Explanation]):
    count_only = True
    list_display = ("when", "question", "model", "tenant", "given", "tokens")
    list_filter = (("tenant", RelatedDropdownFilter),)
    list_select_related = ("tenant",)
    search_fields = ("=request_id",)
    search_help_text = "Request id"
    empty_text = (
        "While a tenant has “Record explanations” on, the chunks that each answer from its data was given are kept "
        "here. It is on the tenant's page, under “Files and answers”."
    )
    empty_link = ("tenants_tenant", "Open the tenants")
    paginator = InfinitePaginator
    show_full_result_count = False
    sortable_by = ()
    change_form_outer_before_template = "admin/inference/explanation/page.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return super().changelist_view(request, {**(extra_context or {}), "title": "Answers explained"})

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                "why/<str:request_id>/",
                self.admin_site.admin_view(self.why_view),
                name="inference_explanation_why",
            ),
        ]
        return own + super().get_urls()

    def why_view(self, request: HttpRequest, request_id: str) -> HttpResponse:
        """Redirect to the explanation of a request, or say why there is none and how to record it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if "\0" in request_id:
            raise Http404("There is no such request.")
        found = Explanation.objects.filter(request_id=request_id).first()
        if found is not None:
            return HttpResponseRedirect(self.url_of(found))
        record = UsageRecord.objects.filter(request_id=request_id).first()
        tenant = Tenant.objects.filter(pk=record.tenant_id).first() if record else None
        return self.page(
            request,
            "admin/inference/explanation/none.html",
            "Why this answer",
            request_id=request_id,
            record=record,
            tenant=tenant,
            may_change_tenant=request.user.has_perm("tenants.change_tenant"),
        )

    def detail_context(self, request: HttpRequest, explanation: Explanation) -> dict[str, Any]:
        return _shown(request, explanation)

    # --- columns --------------------------------------------------------------------------------------------

    @display(description="Time", header=True)
    def when(self, explanation: Explanation) -> list[str]:
        return [ago(explanation.created_at), explanation.request_id]

    @display(description="Question")
    def question(self, explanation: Explanation) -> str:
        asked = explanation.query
        return f"{asked[:120]}…" if len(asked) > 120 else asked

    @display(description="Chunks given to the model")
    def given(self, explanation: Explanation) -> str:
        passages = _passages(explanation)
        return f"{sum(bool(one.get('given')) for one in passages)} of {len(passages)} found"

    @display(description="Prompt tokens")
    def tokens(self, explanation: Explanation) -> str:
        return f"{explanation.prompt_tokens:,}"


def _passages(explanation: Explanation) -> list[dict[str, Any]]:
    held = explanation.passages
    return (
        [{**EMPTY, **one, **GONE} for one in held if isinstance(one, dict)] if isinstance(held, list) else []
    )


def _shown(request: HttpRequest, explanation: Explanation) -> dict[str, Any]:
    passages = _passages(explanation)
    for said in explanation.texts.filter(position__lt=len(passages)):
        passages[said.position].update(heading=said.heading, text=said.text)
    files = {str(one.get("file_id")) for one in passages}
    dataset_files: QuerySet[DatasetFile] = DatasetFile.objects.filter(
        tenant=explanation.tenant_id, file__in=files
    ).order_by("pk")
    links = (
        dict(dataset_files.values_list("file_id", "pk"))
        if request.user.has_perm("files.view_datasetfile")
        else {}
    )
    record = (
        UsageRecord.objects.filter(request_id=explanation.request_id).first()
        if request.user.has_perm("tenants.view_usagerecord")
        else None
    )
    prompt, given = explanation.prompt_tokens, explanation.passage_tokens
    return {
        "explanation": explanation,
        "passages": [(one, links.get(str(one.get("file_id")))) for one in passages],
        "given_count": sum(bool(one.get("given")) for one in passages),
        "share": round(100 * given / prompt) if prompt else 0,
        "key": InferenceKey.objects.filter(pk=explanation.key_id).first(),
        "record": record,
    }
