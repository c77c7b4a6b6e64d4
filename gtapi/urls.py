"""Every address of the project but the health pages, which stand before the middleware: see gtapi.health."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("api/tenant/v1/", include("inference.api_urls")),
    path("api/tenant/", include("inference.api_urls")),
    path("admin/", include("inference.admin.runbooks")),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(url="/admin/")),
]
