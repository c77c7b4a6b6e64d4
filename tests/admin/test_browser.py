"""End-to-end tests of the admin in a real browser: `make test-browser`. They need Chromium."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import openai
import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone
from playwright.sync_api import Page, expect, sync_playwright

from files.models import DatasetFile
from tests import answers, factories

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery staple"
#: The label has a star where the field is required.
NAME = re.compile(r"^Name\*?$")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"


#: Texts of cells that are larger than their cells, and so are not to be read whole.
CUT_OFF = """[...document.querySelectorAll("#result_list tbody :is(td, th)")]
    .filter((cell) => cell.scrollHeight > cell.clientHeight + 1 || cell.scrollWidth > cell.clientWidth + 1)
    .map((cell) => cell.innerText)"""


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


def test_operator_sets_up_a_tenant_and_revokes_a_key(page, gateway, operator, tenant, provider_url):
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


@pytest.fixture
def dataset(tenant):
    return factories.dataset(tenant, "handbook")


def test_dropped_files_show_progress_until_ready(ingest, dataset, page, operator):
    log_in(page, operator)
    page.goto(f"/admin/files/dataset/{dataset.pk}/change/")
    expect(page.get_by_text("No files yet.")).to_be_visible()
    page.evaluate("window.neverReloaded = true")
    drop(page, {
        "opening hours.txt": "The office opens at nine, and closes at five.",
        "<b>names.md": "# Names\n\nThe office is called the lighthouse.",
        "broken.pdf": "%PDF-1.7 and nothing of one",
        "empty.txt": "",
    })  # fmt: skip
    expect(page.get_by_text("4 added")).to_be_visible()
    expect(page.locator("[data-rows] tr")).to_have_count(4)
    expect(row(page, "opening hours.txt").get_by_text("ready")).to_be_visible(timeout=40_000)
    expect(row(page, "<b>names.md").get_by_text("ready")).to_be_visible(timeout=40_000)
    expect(row(page, "broken.pdf").get_by_text("failed")).to_be_visible(timeout=40_000)
    expect(row(page, "empty.txt").get_by_text("failed")).to_be_visible(timeout=40_000)
    expect(page.locator("#dataset-figures")).to_contain_text("of 4 files")
    assert page.evaluate("window.neverReloaded")
    assert page.locator("progress").count() == 0

    drop(page, {"again.txt": "The office opens at nine, and closes at five."})
    expect(page.get_by_text("already exists: ready")).to_be_visible()
    page.get_by_role("link", name="Try a search").click()
    page.get_by_label("Query").fill("opens")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("article mark")).to_have_text("opens")
    page.locator("article").get_by_role("link", name="opening hours.txt").click()
    expect(page.get_by_text("In the order of the file")).to_be_visible()


def test_refused_file_shows_the_reason(tenant, dataset, page, operator):
    with_rows(lambda: type(tenant).objects.filter(pk=tenant.pk).update(max_file_bytes=20, max_files=1))
    log_in(page, operator)
    page.goto(f"/admin/files/dataset/{dataset.pk}/change/")
    drop(page, {"large.txt": "x" * 21})
    expect(page.get_by_text("The file is too large. The limit is 20 bytes.")).to_be_visible()
    drop(page, {"one.txt": "One."})
    expect(page.get_by_text("1 added, 1 refused")).to_be_visible()
    drop(page, {"two.txt": "Two."})
    expect(page.get_by_text("File limit reached (1 of 1).")).to_be_visible()
    expect(page.get_by_text("1 added, 2 refused")).to_be_visible()
    page.route("**/upload/", lambda route: route.abort())
    drop(page, {"three.txt": "Three."})
    expect(page.get_by_text("The connection was lost.")).to_be_visible()
    page.unroute("**/upload/")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("The connection was lost.")).to_have_count(0)
    expect(page.get_by_text("1 added, 3 refused")).to_be_visible()


def test_progress_bars_update_on_every_page_without_a_reload(dataset, page, operator):
    # Another process holds its lease, so that no worker takes it.
    held = timezone.now() + timedelta(hours=1)
    dataset_file = with_rows(
        lambda: factories.dataset_file(
            dataset, state="processing", stage="embedding", progress=10, lease_until=held, filename="long.pdf"
        )
    )

    def now(**values) -> None:
        with_rows(lambda: DatasetFile.objects.filter(pk=dataset_file.pk).update(**values))

    log_in(page, operator)
    addresses = (
        f"/admin/files/dataset/{dataset.pk}/change/",
        f"/admin/files/datasetfile/?dataset={dataset.pk}",
        f"/admin/files/datasetfile/{dataset_file.pk}/change/",
    )
    for number, address in enumerate(addresses, start=2):
        page.goto(address)
        now(progress=10 * number)
        expect(page.locator("progress")).to_have_attribute("value", str(10 * number))
        expect(page.get_by_text(f"Embedding · {10 * number} %")).to_be_visible()
    page.evaluate("window.neverReloaded = true")
    now(stage="storing", progress=95)
    expect(page.locator("[aria-current=step]")).to_contain_text("Storing")
    with_rows(lambda: factories.chunk(dataset_file, "A passage that was not there before."))
    now(state="ready", stage="", progress=100, chunk_count=1, lease_until=None)
    expect(page.get_by_text("A passage that was not there before.")).to_be_visible()
    expect(page.locator("progress")).to_have_count(0)
    assert page.evaluate("window.neverReloaded")


def test_upload_with_an_expired_session_is_reported(dataset, page, operator):
    log_in(page, operator)
    page.goto(f"/admin/files/dataset/{dataset.pk}/change/")
    page.context.clear_cookies(name="sessionid")
    drop(page, {"one.txt": "One."})
    expect(page.get_by_text("Your session has ended. Reload the page.")).to_be_visible()


def test_selected_files_are_uploaded_like_dropped_ones(dataset, page, operator):
    log_in(page, operator)
    page.goto(f"/admin/files/dataset/{dataset.pk}/change/")
    chosen = [
        {"name": f"{name}.txt", "mimeType": "text/plain", "buffer": name.encode()} for name in ("one", "two")
    ]
    page.get_by_label("Files to upload").set_input_files(chosen)
    expect(page.get_by_text("2 added")).to_be_visible()
    expect(row(page, "one.txt")).to_be_visible()


def test_narrow_screen_shows_whole_rows(tenant, page, operator):
    def rows():
        key = factories.key(tenant)
        thread = factories.conversation(key, user="somebody whose name is a long one, as they come")
        factories.turn(thread, {"role": "user", "content": "Which costs of travelling are paid back? " * 4})
        factories.dataset_file(
            factories.dataset(tenant),
            state="failed",
            error_message="The file is damaged. " * 8,
            filename="a.pdf",
        )
        over = factories.provider(tenant, "http://127.0.0.1:9/v1")
        factories.catalog(over, "fast", model="a-model-with-a-name-that-takes-more-than-one-line-of-a-phone")

    with_rows(rows)
    log_in(page, operator)
    page.set_viewport_size({"width": 420, "height": 900})
    for address in (
        f"inference/conversation/?tenant={tenant.pk}", f"files/datasetfile/?tenant={tenant.pk}",
        f"inference/catalogentry/?tenant__id__exact={tenant.pk}",
    ):  # fmt: skip
        page.goto(f"/admin/{address}")
        expect(page.locator("#result_list tbody tr")).to_have_count(1)
        cut = page.evaluate(CUT_OFF)
        assert cut == [], address


def test_text_of_clients_is_never_executed(tenant, page, operator):
    evil = "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'>"

    def rows():
        thread = factories.conversation(factories.key(tenant), user=evil)
        factories.turn(thread, {"role": "user", "content": evil}, {"role": "assistant", "content": evil})
        dataset_file = factories.dataset_file(factories.dataset(tenant), filename=evil)
        factories.chunk(dataset_file, evil, heading=evil)
        return thread, dataset_file

    thread, dataset_file = with_rows(rows)
    log_in(page, operator)
    for address in (
        f"/admin/inference/conversation/{thread.pk}/change/",
        f"/admin/files/datasetfile/{dataset_file.pk}/change/",
        f"/admin/files/dataset/{dataset_file.dataset_id}/change/",
        f"/admin/files/datasetfile/?dataset={dataset_file.dataset_id}",
    ):
        page.goto(address)
        expect(page.get_by_text(evil).first).to_be_visible()
        assert page.evaluate("window.ran") is None


def with_rows(work: Callable):
    """Run database code in a separate thread, because the test's thread runs an event loop."""

    def do():
        try:
            return work()
        finally:
            connections["default"].close()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(do).result()


def drop(page: Page, files: dict[str, str]) -> None:
    """Drop files on the upload zone, as a user does."""
    carried = page.evaluate_handle(
        """(files) => {
            const carried = new DataTransfer();
            for (const [name, text] of Object.entries(files)) carried.items.add(new File([text], name));
            return carried;
        }""",
        files,
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("form[data-drop]", event, {"dataTransfer": carried, "bubbles": True})


def row(page: Page, name: str):
    return page.locator("[data-rows] tr").filter(has=page.get_by_role("link", name=name, exact=True))


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
