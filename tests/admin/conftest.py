"""Fixtures of the admin's tests: a superuser, staff with chosen permissions, and readers of pages."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from files.models import Dataset
from tests import factories
from tests.browsing import Client


@pytest.fixture
def operator() -> Client:
    """A logged-in superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser(factories.unique("operator")))
    return client


@pytest.fixture
def staff() -> Callable[..., Client]:
    """Logs a member of staff in who has just the named permissions: `staff("inference.view_provider")`."""

    def log_in(*permissions: str) -> Client:
        user = User.objects.create_user(factories.unique("staff"), is_staff=True)
        for name in permissions:
            app, _, codename = name.partition(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        client = Client()
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def dataset(world) -> Dataset:
    return factories.dataset(world.tenant, "handbook")


def url(page: str, *args: Any, **query: Any) -> str:
    """The address of a page of the admin: `url("inference_agent_change", 1)`."""
    address = reverse(f"admin:{page}", args=[quote(one) for one in args])
    return f"{address}?{'&'.join(f'{name}={value}' for name, value in query.items())}" if query else address


def text(response: HttpResponse) -> str:
    """The text of a page, without its tags, styles and scripts."""
    html = re.sub(r"(?s)<(script|style|template).*?</\1>", " ", response.content.decode())
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def said(response: HttpResponse) -> list[str]:
    """The messages on a page."""
    return [str(message) for message in response.context["messages"]]


def fields(response: HttpResponse) -> dict[str, Any]:
    """What a browser would send if the page's form were saved as it is."""
    form = response.context["adminform"].form
    data: dict[str, Any] = {}
    for bound in form:
        value = bound.value()
        if hasattr(bound.field.widget, "widgets"):
            for number, part in enumerate(bound.field.widget.decompress(value) or []):
                data[f"{bound.html_name}_{number}"] = "" if part is None else str(part)
        elif isinstance(value, list):
            data[bound.html_name] = [str(one) for one in value]
        elif value is True:
            data[bound.html_name] = "on"
        elif value is not None and value is not False and not isinstance(value, dict):
            data[bound.html_name] = str(bound.field.prepare_value(value))
    return data


@contextmanager
def queries() -> Iterator[CaptureQueriesContext]:
    """Capture the queries sent within the context."""
    with CaptureQueriesContext(connection) as captured:
        yield captured
