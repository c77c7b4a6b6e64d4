"""What the guides say about the project has to be there."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
GUIDES = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
MAKEFILE = (CHECKOUT / "Makefile").read_text()
TARGETS = set(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split())


def settings() -> Iterator[str]:
    """The variables that settings and the web server read."""
    for name in ("settings.py", "gunicorn.py"):
        source = (CHECKOUT / "gtapi" / name).read_text()
        yield from re.findall(r"\benv\.\w+\(\s*\"([A-Z_]+)\"", source)
        yield from re.findall(r"\b_secret(?:_list)?\(\"([A-Z_]+)\"\)", source)
        yield from re.findall(r"environ\.get\(\"([A-Z_]+)\"\)", source)


#: How the launcher hands its socket to the web server.
INTERNAL = {"WEB_BIND"}


def test_every_setting_is_documented():
    found = set(settings()) - INTERNAL
    assert len(found) > 20
    guide = (CHECKOUT / "docs" / "deployment.md").read_text()
    assert {name for name in found if f"`{name}`" not in guide} == set()


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_links_lead_somewhere(guide):
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", guide.read_text())]
    local = [link for link in links if link and "://" not in link]
    assert [link for link in local if not (guide.parent / link).exists()] == []


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_commands_of_make_exist(guide):
    assert set(re.findall(r"`make ([a-z-]+)", guide.read_text())) <= TARGETS


def test_make_help_names_every_command():
    told = set(re.findall(r'@echo "make ([a-z-]+)', MAKEFILE))
    assert told == TARGETS - {"help"}


def test_the_tree_in_the_architecture_is_the_one_that_is_there():
    guide = (CHECKOUT / "docs" / "architecture.md").read_text()
    named = re.findall(
        r"`((?:gtapi|tenants|files|inference|tests|clients|benchmarks|docs|templates)/[\w/.]*)`", guide
    )
    assert [name for name in named if not (CHECKOUT / name).exists()] == []
    packages = {
        f"{path.relative_to(CHECKOUT)}/"
        for path in (CHECKOUT / "inference").iterdir()
        if (path / "__init__.py").exists()
        and path.name not in ("admin", "management", "migrations", "templatetags")
    }
    assert packages - set(named) == set()


@pytest.mark.parametrize("extra", ["production", "embedded", "local", "ocr", "s3"])
def test_every_package_is_locked_and_explained(extra):
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    needed = {**project["optional-dependencies"], "production": project["dependencies"]}[extra]
    names = {re.match(r"[\w-]+", line)[0] for line in needed}
    lock = {"ocr": "production-ocr", "s3": "production-s3"}.get(extra, extra)
    locked = set(
        re.findall(
            r"^([\w-]+)(?:\[.*?\])?==", (CHECKOUT / "requirements" / f"{lock}.txt").read_text(), re.MULTILINE
        )
    )
    assert names - locked == set()
    told = (CHECKOUT / "docs" / "dependencies.md").read_text()
    explained = {
        name for row in re.findall(r"^\| (.*?) \|", told, re.MULTILINE) for name in re.findall(r"[\w-]+", row)
    }
    assert names - explained == set()
