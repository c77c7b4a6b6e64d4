"""Base classes of the admin: row locking, confirmation pages, read-only objects and objects of a tenant."""

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
    """Return a nested list of lines without those that have a prefix; their children move up a level."""
    remaining: list[Any] = []
    dropped = False
    for line in nested:
        if isinstance(line, list):
            children = _without(line, prefixes)
            if dropped:
                remaining.extend(children)
            elif children:
                remaining.append(children)
            continue
        dropped = str(line).startswith(prefixes)
        if not dropped:
            remaining.append(line)
    return remaining


class RowLockingAdmin(ModelAdmin[M]):
    """Locks a row before its form reads it and until it is saved.

    Saving writes every column. Without the lock, it would overwrite concurrent changes of clients and workers, and
    restore a row that they deleted.
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
            if obj := self.get_object(request, unquote(object_id)):
                # FOR NO KEY UPDATE still permits inserting rows that reference it, such as files of a dataset.
                rows = type(obj)._base_manager.order_by().select_for_update(no_key=True)  # noqa: SLF001 - documented
                rows.filter(pk=obj.pk).first()
            return super().changeform_view(request, object_id, form_url, extra_context)


class GatewayAdmin(RowLockingAdmin[M]):
    """The base of every admin: additional pages in the theme's layout, and texts for empty lists."""

    #: Whether a confirmation of a cascading deletion only counts these rows.
    count_only = False
    #: The text of an empty list, and the admin page with the link text that it refers to.
    empty_text = ""
    empty_link: tuple[str, str] | None = None
    list_filter_submit = True
    warn_unsaved_form = True
    list_per_page = 50
    # Each facet count is a query, for usage over the whole table.
    show_facets = ShowFacets.NEVER

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist: Any = super().get_changelist_instance(request)
        # The theme's template for empty lists only has access to the changelist.
        changelist.next_page = self._next_page(request)
        return changelist

    def _next_page(self, request: HttpRequest) -> tuple[str, str] | None:
        """Return the URL and text of the link on an empty list, if the operator may follow it."""
        if self.empty_link is None:
            return None
        page, label = self.empty_link
        app, _, model = page.partition("_")
        if not request.user.has_perm(f"{app}.view_{model}"):
            return None
        return reverse(f"admin:{page}_changelist"), label

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> M | None:
        # The theme's links contain ids such as ds_25… unquoted, and Django would decode _25 as an escape.
        quoted = object_id if "_" in object_id else quote(object_id)
        return super().get_object(request, quoted, from_field)

    def fetch(self, request: HttpRequest, object_id: str, permission: str = "change") -> M:
        """Return the object of a page.

        Raises:
            Http404: it does not exist.
            PermissionDenied: the user lacks ``permission`` on it.
        """
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            raise Http404(f"This {self.opts.verbose_name} does not exist.")
        if not getattr(self, f"has_{permission}_permission")(request, obj):
            raise PermissionDenied
        return obj

    def page(
        self, request: HttpRequest, template: str, title: str, obj: M | None = None, **context: Any
    ) -> TemplateResponse:
        """Return a page of this admin, with the object's heading if there is one."""
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
        """Return a confirmation page, whose form posts to the same address."""
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
        """Omit rows without an admin page, such as grants, from the confirmation of a deletion.

        Rows of admins with ``count_only`` are counted but not listed, unless they are the ones to delete.
        """
        deleted, counts, missing, protected = super().get_deleted_objects(objs, request)
        pages = self.admin_site._registry  # noqa: SLF001 - as the stock method does
        names = {
            model: model._meta  # noqa: SLF001 - Django's documented model API
            for model in apps.get_models(include_auto_created=True)
            if model is not self.model
        }
        listed = {str(meta.verbose_name_plural) for model, meta in names.items() if model in pages}
        plurals = {str(meta.verbose_name_plural) for meta in names.values()} - listed
        shown = {plural: count for plural, count in dict(counts).items() if str(plural) not in plurals}
        prefixes = tuple(
            f"{capfirst(meta.verbose_name)}: "
            for model, meta in names.items()
            if model not in pages or getattr(pages[model], "count_only", False)
        )
        return _without(deleted, prefixes), shown, missing, protected

    def url_of(self, obj: Model, page: str = "change") -> str:
        return reverse(self._route(page), args=[quote(obj.pk)])

    def list_url(self) -> str:
        return reverse(self._route("changelist"))

    def _route(self, page: str) -> str:
        return f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}"

    def back_to(self, obj: Model) -> HttpResponseRedirect:
        return HttpResponseRedirect(self.url_of(obj))


class DetailAdmin(GatewayAdmin[M]):
    """An admin whose change page shows more than a form."""

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
        """Return the context for the templates of the change page."""
        raise NotImplementedError


class ReadOnlyAdmin(DetailAdmin[M]):
    """An admin of rows that cannot be added or edited, only viewed and deleted."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: M | None = None) -> Any:
        return []


class TenantOwnedForm(ModelForm[M]):
    """A form for an object whose tenant is chosen before the form is displayed."""

    #: The tenant of a new object, set on the form class of each request.
    for_tenant: ClassVar[Tenant | None] = None
    #: Model fields that are not in the form but are part of unique constraints.
    unique_fields: ClassVar[frozenset[str]] = frozenset({"tenant"})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding and self.for_tenant is not None:  # noqa: SLF001 - Django's documented flag
            self.owned.tenant = self.for_tenant
        for field in self.fields.values():
            if isinstance(field.widget, RelatedFieldWidgetWrapper):
                # Its pop-ups are not limited to the tenant.
                field.widget = field.widget.widget

    @property
    def owned(self) -> Any:
        """The instance, without its static type."""
        return self.instance

    @property
    def tenant(self) -> Tenant:
        """The tenant of the instance."""
        tenant: Tenant = self.owned.tenant
        return tenant

    def _get_validation_exclusions(self) -> set[str]:
        exclusions: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return exclusions - self.unique_fields


class TenantOwnedAdmin(GatewayAdmin[M]):
    """An admin of objects of one tenant, which is chosen before the form and cannot be changed."""

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
        """Return the tenant of a new object: from the address, from the list's filter, or the only tenant."""
        filters = parse_qs(request.GET.get("_changelist_filters", ""))
        tenant_id = request.GET.get("tenant") or filters.get("tenant__id__exact", [""])[0]
        if tenant_id.isdecimal():
            return Tenant.objects.filter(pk=tenant_id).first()
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
