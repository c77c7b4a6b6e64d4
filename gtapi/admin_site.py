"""Site-wide parts of the admin: sidebar, style sheet, scripts and icon."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

#: Sidebar groups: title, and items as (title, icon, app, model).
_SIDEBAR = (
    (
        "Tenants",
        (
            ("Tenants", "domain", "tenants", "tenant"),
            ("Keys", "key", "tenants", "inferencekey"),
        ),
    ),
    (
        "Models",
        (
            ("Agents", "smart_toy", "inference", "agent"),
            ("Catalog", "category", "inference", "catalogentry"),
            ("Providers", "dns", "inference", "provider"),
        ),
    ),
    (
        "Data",
        (
            ("Datasets", "database", "files", "dataset"),
            ("Files", "draft", "files", "datasetfile"),
            ("Storage", "hard_drive", "files", "file"),
        ),
    ),
    (
        "Operations",
        (
            ("Conversations", "forum", "inference", "conversation"),
            ("Usage", "monitoring", "tenants", "usagerecord"),
            ("Explained answers", "troubleshoot", "inference", "explanation"),
        ),
    ),
    (
        "Administration",
        (
            ("Users", "person", "auth", "user"),
            ("Groups", "group", "auth", "group"),
        ),
    ),
)


def style(request: HttpRequest) -> str:
    return static("gtapi/admin.css")


def script(request: HttpRequest) -> str:
    return static("gtapi/admin.js")


def files_script(request: HttpRequest) -> str:
    return static("gtapi/files.js")


def icon(request: HttpRequest) -> str:
    return static("gtapi/icon.svg")


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar's groups, without items that the user may not view."""
    groups: list[dict[str, Any]] = [
        {"items": [{"title": "Dashboard", "icon": "space_dashboard", "link": reverse("admin:index")}]}
    ]
    for title, items in _SIDEBAR:
        groups.append(
            {
                "title": title,
                "separator": True,
                "items": [
                    {
                        "title": name,
                        "icon": icon_name,
                        "link": reverse(f"admin:{app}_{model}_changelist"),
                        "permission": _view_permission(app, model),
                    }
                    for name, icon_name, app, model in items
                ],
            }
        )
    return groups


def _view_permission(app: str, model: str) -> Callable[[HttpRequest], bool]:
    def allowed(request: HttpRequest) -> bool:
        user = request.user
        return user.has_perm(f"{app}.view_{model}") or user.has_perm(f"{app}.change_{model}")

    return allowed
