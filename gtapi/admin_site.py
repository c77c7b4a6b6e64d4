"""What surrounds every page of the admin: the sidebar, the style sheet, the script and the icon."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

#: The sidebar: title of a group, and its items as title, symbol, app and model.
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
    """Return the sidebar's groups; what a user may not view is left out."""
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
                        "icon": symbol,
                        "link": reverse(f"admin:{app}_{model}_changelist"),
                        "permission": _may_view(app, model),
                    }
                    for name, symbol, app, model in items
                ],
            }
        )
    return groups


def _may_view(app: str, model: str) -> Callable[[HttpRequest], bool]:
    def allowed(request: HttpRequest) -> bool:
        user = request.user
        return user.has_perm(f"{app}.view_{model}") or user.has_perm(f"{app}.change_{model}")

    return allowed
