"""What every page of the admin has in common: confirmations, and objects that belong to one tenant."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, TypeVar
from urllib.parse import parse_qs

from django.apps import apps
from django.contrib.admin import ShowFacets
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst

from tenants.admin.theme import ModelAdmin, ModelForm
from tenants.models import Tenant

M = TypeVar("M", bound=Model)


def badge(text: str, variant: str = "default", hint: str = "") -> str:
    """Return a badge as HTML; variants: default, info, primary, success, warning, danger."""
    return render_to_string(
        "unfold/helpers/label.html", {"text": text, "variant": variant, "label_title": hint}
    )


def _without(nested: Iterable[Any], prefixes: tuple[str, ...]) -> list[Any]:
    """Return a nested list of lines without those that begin like this; what hangs under them moves up."""
    kept: list[Any] = []
    dropped = False
    for line in nested:
        if isinstance(line, list):
            below = _without(line, prefixes)
            if dropped:
                kept.extend(below)
            elif below:
                kept.append(below)
            continue
        dropped = str(line).startswith(prefixes)
        if not dropped:
            kept.append(line)
    return kept


class RowLockingAdmin(ModelAdmin[M]):
    """Holds a row from before its form reads it until it is saved.

    Saving writes every column: what a client or a worker wrote in between would be undone, and a row that they
    deleted would be back.
    """

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if request.method != "POST" or object_id is None:
            return super().changeform_view(request, object_id, form_url, extra_context)
        with transaction.atomic():
            if found := self.get_object(request, unquote(object_id)):
                # Rows that refer to it may come meanwhile, such as files into a dataset.
                rows = type(found)._base_manager.order_by().select_for_update(no_key=True)  # noqa: SLF001 - documented
                rows.filter(pk=found.pk).first()
            return super().changeform_view(request, object_id, form_url, extra_context)


class GatewayAdmin(RowLockingAdmin[M]):
    """The base of every admin: it can show pages of its own in the theme's frame."""

    #: Whether a page that deletes what these rows hang under says their number alone.
    count_only = False
    #: What an empty list says of where its rows come from; the list that leads there, with what its link says.
    empty_text = ""
    empty_link: tuple[str, str] | None = None
    list_filter_submit = True
    warn_unsaved_form = True
    list_per_page = 50
    # Counts beside each filter cost a query each, on the ledger one over all of it.
    show_facets = ShowFacets.NEVER

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found: Any = super().get_changelist_instance(request)
        # The theme gives the part for an empty list nothing but the list.
        found.next_page = self._next_page(request)
        return found

    def _next_page(self, request: HttpRequest) -> tuple[str, str] | None:
        """Return where an operator who finds the list empty may go on, and what the link says."""
        if self.empty_link is None:
            return None
        page, label = self.empty_link
        app, _, model = page.partition("_")
        if not request.user.has_perm(f"{app}.view_{model}"):
            return None
        return reverse(f"admin:{page}_changelist"), label

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> M | None:
        # Ids such as ds_25… stand as they are in the theme's links, and Django takes their _25 for an escape.
        whole = object_id if "_" in object_id else quote(object_id)
        return super().get_object(request, whole, from_field)

    def fetch(self, request: HttpRequest, object_id: str, permission: str = "change") -> M:
        """Return the object of a page.

        Raises:
            Http404: there is none.
            PermissionDenied: the user lacks ``permission`` on it.
        """
        found = self.get_object(request, unquote(object_id))
        if found is None:
            raise Http404(f"There is no such {self.opts.verbose_name}.")
        if not getattr(self, f"has_{permission}_permission")(request, found):
            raise PermissionDenied
        return found

    def page(
        self, request: HttpRequest, template: str, title: str, obj: M | None = None, **context: Any
    ) -> TemplateResponse:
        """Return a page of this admin, under the object's heading where there is one."""
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            template,
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "original": obj,
                "page_title": title,
                "title": f"{title} | {obj}" if obj else title,
                "object_url": self.url_of(obj) if obj else None,
                **context,
            },
        )

    def confirm(
        self,
        request: HttpRequest,
        title: str,
        button: str,
        lines: Sequence[str],
        *,
        obj: M | None = None,
        danger: bool = False,
        items: Iterable[object] = (),
        hidden: Sequence[tuple[str, str]] = (),
        **context: Any,
    ) -> TemplateResponse:
        """Ask before something is done: a form that posts to this same address."""
        back = self.url_of(obj) if obj else self.list_url()
        return self.page(
            request,
            context.pop("template", "admin/gateway/confirm.html"),
            title,
            obj,
            button=button,
            lines=lines,
            danger=danger,
            items=items,
            hidden=hidden,
            back=back,
            **context,
        )

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Leave out rows that have no page of their own, such as grants: they say nothing to an operator.

        Of rows that there may be thousands of, only the number is said, unless they are what is deleted.
        """
        deleted, counts, lacking, protected = super().get_deleted_objects(objs, request)
        pages = self.admin_site._registry  # noqa: SLF001 - as the stock method does
        names = {
            model: model._meta  # noqa: SLF001 - Django's documented door to a model's names
            for model in apps.get_models(include_auto_created=True)
            if model is not self.model
        }
        told = {str(meta.verbose_name_plural) for model, meta in names.items() if model in pages}
        plurals = {str(meta.verbose_name_plural) for meta in names.values()} - told
        kept = {plural: count for plural, count in dict(counts).items() if str(plural) not in plurals}
        prefixes = tuple(
            f"{capfirst(meta.verbose_name)}: "
            for model, meta in names.items()
            if model not in pages or getattr(pages[model], "count_only", False)
        )
        return _without(deleted, prefixes), kept, lacking, protected

    def url_of(self, obj: Model, page: str = "change") -> str:
        return reverse(self._route(page), args=[quote(obj.pk)])

    def list_url(self) -> str:
        return reverse(self._route("changelist"))

    def _route(self, page: str) -> str:
        return f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}"

    def back_to(self, obj: Model) -> HttpResponseRedirect:
        return HttpResponseRedirect(self.url_of(obj))


class DetailAdmin(GatewayAdmin[M]):
    """Objects whose page shows more of them than a form could."""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        obj = self.get_object(request, unquote(object_id))
        extra = self.detail_context(request, obj) if obj else {}
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    def detail_context(self, request: HttpRequest, obj: M) -> dict[str, Any]:
        """Return what the templates of the object's page show beside its form."""
        raise NotImplementedError


class ReadOnlyAdmin(DetailAdmin[M]):
    """Rows that nobody types: their page shows them in its own way, and they can be deleted."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: M | None = None) -> Any:
        return []


class TenantOwnedForm(ModelForm[M]):
    """A form for an object whose tenant is fixed before the form is shown."""

    #: The tenant of a new object; set on the class that is made for a request.
    for_tenant: ClassVar[Tenant | None] = None
    #: No fields of the form, but parts of the rules that names are unique.
    unique_fields: ClassVar[frozenset[str]] = frozenset({"tenant"})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding and self.for_tenant is not None:  # noqa: SLF001 - Django's documented flag
            self.owned.tenant = self.for_tenant
        for field in self.fields.values():
            if isinstance(field.widget, RelatedFieldWidgetWrapper):
                # Its pop-ups know nothing of the tenant.
                field.widget = field.widget.widget

    @property
    def owned(self) -> Any:
        """The object, of whichever kind."""
        return self.instance

    @property
    def tenant(self) -> Tenant:
        """The tenant of the object, new or old."""
        tenant: Tenant = self.owned.tenant
        return tenant

    def _get_validation_exclusions(self) -> set[str]:
        exclusions: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return exclusions - self.unique_fields


class TenantOwnedAdmin(GatewayAdmin[M]):
    """Objects of one tenant: it is chosen first, and then stays."""

    list_select_related: ClassVar[bool | list[str] | tuple[str, ...]] = ("tenant",)

    def get_readonly_fields(self, request: HttpRequest, obj: M | None = None) -> tuple[str, ...]:
        return (*super().get_readonly_fields(request, obj), "tenant")

    def get_form(
        self, request: HttpRequest, obj: M | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.for_tenant = None if obj else self.chosen_tenant(request)  # type: ignore[attr-defined]
        return form

    def chosen_tenant(self, request: HttpRequest) -> Tenant | None:
        """Return the tenant for a new object: the one in the address, the one of the list, or the only one."""
        filters = parse_qs(request.GET.get("_changelist_filters", ""))
        chosen = request.GET.get("tenant") or filters.get("tenant__id__exact", [""])[0]
        if chosen.isdecimal():
            return Tenant.objects.filter(pk=chosen).first()
        tenants = list(Tenant.objects.all()[:2])
        return tenants[0] if len(tenants) == 1 else None

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        if self.chosen_tenant(request) is None:
            return self._choose_tenant(request)
        return super().add_view(request, form_url, extra_context)

    def _choose_tenant(self, request: HttpRequest) -> HttpResponse:
        choices = []
        for tenant in Tenant.objects.all():
            query = request.GET.copy()
            query["tenant"] = str(tenant.pk)
            choices.append((tenant, f"?{query.urlencode()}"))
        title = f"Add {self.opts.verbose_name}"
        return self.page(request, "admin/gateway/choose_tenant.html", title, choices=choices)
