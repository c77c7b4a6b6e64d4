"""The whole way of a new tenant in a real browser: `make test-browser`. It needs Chromium."""

import os
import re
import shutil
from collections.abc import Iterator

import httpx
import openai
import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect, sync_playwright

from tests import answers, factories

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery staple"
#: The label has a star where the field is required.
NAME = re.compile(r"^Name\*?$")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"


@pytest.fixture
def operator() -> str:
    """The name of a superuser."""
    return User.objects.create_superuser(factories.unique("operator"), password=PASSWORD).username


@pytest.fixture
def page(gateway, operator, tenant) -> Iterator[Page]:
    """A page of a browser in front of the gateway; an error of a script fails the test.

    Rows are made before it: an event loop runs in this thread as long as the browser does.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(base_url=gateway.url, viewport={"width": 1440, "height": 900})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("response", lambda got: faults.append(got.url) if got.status >= 500 else None)
        elsewhere: list[str] = []
        page.on("request", lambda sent: elsewhere.append(sent.url) if is_foreign(sent.url, gateway) else None)
        yield page
        browser.close()
    assert faults == []
    assert elsewhere == []


def is_foreign(address: str, gateway) -> bool:
    return not address.startswith((gateway.url, "data:", "blob:"))


@pytest.fixture
def tenant():
    return factories.tenant(name=factories.unique("Acme "))


@pytest.fixture
def provider_url(upstream) -> str:
    """The base URL of a provider that offers one model and answers as it."""
    prefix = factories.unique("provider")
    upstream.script(f"/{prefix}/v1/models", answers.answer({"data": [{"id": prefix}]}))
    upstream.script(prefix, answers.answer(answers.completion("Hello from the browser.")))
    return f"http://127.0.0.1:{upstream.port}/{prefix}/v1"


def test_from_log_in_to_a_revoked_key(page, gateway, operator, tenant, provider_url):
    log_in(page, operator)
    add_provider(page, tenant, provider_url)
    add_catalog_entry(page)
    publish_agent(page, tenant)
    plain = make_key(page, tenant)

    with openai.OpenAI(base_url=f"{gateway.base_url}", api_key=plain, max_retries=0) as client:
        answer = client.chat.completions.create(
            model="helper", messages=[{"role": "user", "content": "Hello!"}]
        )
        assert answer.choices[0].message.content == "Hello from the browser."

    page.reload()
    expect(page).to_have_url(re.compile(r"/inferencekey/\d+/change/$"))
    assert plain not in page.content()
    revoke(page)
    assert refused_soon(gateway, plain)


def log_in(page: Page, name: str) -> None:
    page.goto("/admin/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()


def add_provider(page: Page, tenant, base_url: str) -> None:
    page.goto("/admin/inference/provider/add/")
    if page.get_by_text("For which tenant?").is_visible():
        page.get_by_role("link", name=tenant.name).click()
    page.get_by_label(NAME).fill("main")
    page.get_by_label("Kind").select_option("openai_compatible")
    page.get_by_label("Base URL").fill(base_url)
    page.get_by_label("API key").fill("sk-typed-in-a-browser")
    page.get_by_label("Name of a new header").fill("X-Team")
    page.get_by_label("Value of the new header").fill("blue")
    page.get_by_role("button", name="Another header").click()
    expect(page.get_by_label("Name of a new header")).to_have_count(2)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("It works.")).to_be_visible()
    assert "sk-typed-in-a-browser" not in page.content()


def add_catalog_entry(page: Page) -> None:
    page.get_by_role("link", name="Add to catalog").click()
    page.get_by_label(NAME).fill("fast")
    expect(page.get_by_role("checkbox", name="Chat")).to_be_checked()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()


def publish_agent(page: Page, tenant) -> None:
    page.goto(f"/admin/inference/agent/add/?tenant={tenant.pk}")
    page.get_by_label("Alias").fill("helper")
    page.get_by_label("Catalog entry").select_option(label="fast")
    page.get_by_label("Instructions").fill("Help.")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="Publish it").click()
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_text("Version 1 of helper is live.")).to_be_visible()


def make_key(page: Page, tenant) -> str:
    page.goto(f"/admin/tenants/inferencekey/add/?tenant={tenant.pk}")
    page.get_by_label(NAME).fill("web")
    page.get_by_role("checkbox", name="helper").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Your new key")).to_be_visible()
    page.get_by_role("button", name="Copy key").click()
    plain = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"gtak_\w{12}_\w{46}", plain)
    page.get_by_role("button", name="Copy curl").click()
    assert plain in page.evaluate("navigator.clipboard.readText()")
    return plain


def revoke(page: Page) -> None:
    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke for good").click()
    expect(page.get_by_text("Revoked the key web.")).to_be_visible()
    expect(page.get_by_role("button", name="Save", exact=True)).to_have_count(0)


def refused_soon(gateway, plain: str) -> bool:
    """Whether every process refuses the key; each learns of it within a second."""
    for _ in range(100):
        answers_of_many = [
            httpx.get(f"{gateway.base_url}/models", headers={"authorization": f"Bearer {plain}"}).status_code
            for _ in range(5)
        ]
        if set(answers_of_many) == {401}:
            return True
    return False
