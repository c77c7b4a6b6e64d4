"""The root URL configuration."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from gtapi.web import health

urlpatterns = [
    path("api/tenant/v1/", include("inference.api_urls")),
    path("api/tenant/", include("inference.api_urls")),
    path("admin/", include("inference.admin.runbooks")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("", RedirectView.as_view(url="/admin/")),
]
