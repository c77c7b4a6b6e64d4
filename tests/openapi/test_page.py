"""The reference page: public, complete, and loading nothing."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from inference.openapi.routes import routes
from tests.wire import BASES, PLAIN


class Page(HTMLParser):
    """The page's text, its addresses, its ids, and what its style and its script are."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.parts: dict[str, str] = {}
        self.text = ""
        self._inside = ""
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self._inside = tag
        for name, value in attributes:
            if name in ("href", "src", "action", "srcset"):
                self.addresses.append(value)
            elif name == "id":
                self.ids.append(value)
            elif name.startswith("on") or name == "style":
                self.handlers.append(name)

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside in ("style", "script"):
            self.parts[self._inside] = self.parts.get(self._inside, "") + data
        else:
            self.text += data


@pytest.fixture(params=BASES)
def address(gateway, request) -> str:
    return f"{gateway.url}{request.param}"


@pytest.fixture
def page(address) -> Page:
    return Page(PLAIN.get(f"{address}/docs").text)


def test_page_needs_no_key(address):
    response = PLAIN.get(f"{address}/docs")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-request-id"].startswith("req_")
    assert PLAIN.head(f"{address}/docs").content == b""


def test_every_route_is_on_the_page_and_in_its_menu(page):
    assert {route.name for route in routes()} <= set(page.ids)
    assert {f"#{route.name}" for route in routes()} <= set(page.addresses)
    for route in routes():
        assert route.path in page.text
        for name in route.body.properties if route.body else ():
            assert name in page.text
        for source in route.examples.values():
            assert source in page.text


def test_ids_are_unique_and_links_resolve(page):
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.addresses if link.startswith("#")} <= set(page.ids)


def test_page_loads_no_other_resources(page, address):
    outside = [link for link in page.addresses if not link.startswith("#")]
    assert outside == ["data:,", f"{address}/openapi.json"]
    assert "@import" not in page.parts["style"]
    assert "url(" not in page.parts["style"]
    assert "http" not in page.parts["script"]


def test_content_security_policy_allows_only_the_embedded_style_and_script(page, address):
    policy = PLAIN.get(f"{address}/docs").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for part in ("style", "script"):
        digest = b64encode(sha256(page.parts[part].encode()).digest()).decode()
        assert f"{part}-src 'sha256-{digest}'" in policy
    assert page.handlers == []


def test_page_shows_the_base_url_of_the_request(page, address):
    assert f"OPENAI_BASE_URL={address}" in page.text


@pytest.mark.parametrize("host", ["<script>alert(1)</script>", 'a"onload=alert(1) x="', "ai.example.com"])
def test_forged_host_is_escaped(gateway, host):
    source = PLAIN.get(f"{gateway.base_url}/docs", headers={"host": host}).text
    assert source.count("<script") == 1
    assert Page(source).handlers == []


def test_page_reveals_no_tenants_or_models(gateway, world):
    for headers in ({}, world.authorization):
        text = PLAIN.get(f"{gateway.base_url}/docs", headers=headers).text
        for name in (world.tenant.slug, world.tenant.name, world.raw, world.provider.name, world.key.plain):
            assert name not in text
    assert not re.search(r"gtak_[A-Za-z0-9]", text)
