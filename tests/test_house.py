"""The house's rules that can be read off its imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps

CHECKOUT = Path(__file__).resolve().parent.parent
#: Who may import whom: an app imports itself and what stands to its right.
ORDER = ("inference", "files", "tenants", "gtapi")
#: Where everything comes together. They may import any app, and no app imports them.
ROOTS = {"gtapi.urls", "gtapi.asgi", "gtapi.wsgi", "gtapi.celery", "gtapi.settings"}

#: Where a lower app follows a relation that a higher app declares, by module. Imports do not show these.
REACHES_UP = {
    "files.admin.dataset_files": {"conversation"},
    "files.admin.datasets": {"agents", "targets"},
    "files.admin.stored": {"conversation"},
    "files.datasets": {"targets"},
    "files.uploads.access": {"conversation"},
    "files.uploads.cleanup": {"conversation"},
    "tenants.admin.tenants": {"targets"},
}


def modules() -> Iterator[tuple[str, Path]]:
    """The dotted name and the file of every module of the product."""
    for app in ORDER:
        for path in sorted((CHECKOUT / app).rglob("*.py")):
            parts = path.relative_to(CHECKOUT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imported(name: str, source: str, *, package: bool = False) -> set[str]:
    """The dotted names that a module imports anywhere in it; `from a import b` counts as `a` and as `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = name.split(".")[: None if package and node.level == 1 else -(node.level - package)]
                base = ".".join([*parents, *([base] if base else [])])
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names.update(
                a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
            )
    return names


def wrong_arrows(name: str, source: str, *, package: bool = False) -> list[str]:
    """The imports of a module that run against the order of the house."""
    wrong = []
    mine = name.partition(".")[0]
    for target in sorted(imported(name, source, package=package)):
        theirs = target.partition(".")[0]
        if theirs not in ORDER or target == name:
            continue
        if target in ROOTS and name not in ROOTS:
            wrong.append(f"{name} imports {target}, which is a root")
        elif ORDER.index(theirs) < ORDER.index(mine) and name not in ROOTS:
            wrong.append(f"{name} imports {target}, which stands above it")
    return wrong


def test_local_models_import_nothing_else_of_the_product():
    """The demo's model server is a separate program, which the gateway reaches over HTTP alone."""
    for path in (CHECKOUT / "local_models").rglob("*.py"):
        name = ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
        assert not {target.partition(".")[0] for target in imported(name, path.read_text())} & {
            *ORDER,
            "django",
        }


def test_no_import_runs_against_the_order_of_the_apps():
    found = list(modules())
    assert len(found) > 20
    wrong = [
        arrow
        for name, path in found
        for arrow in wrong_arrows(name, path.read_text(), package=path.name == "__init__.py")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("tenants.policy_cache", "from inference.models import Agent"),
        ("tenants.policy_cache", "import files.models"),
        ("files.models", "from inference import models"),
        ("gtapi.web.api_handler", "from tenants.authentication import KeyAuthentication"),
        ("gtapi.web.api_handler", "def late():\n    from tenants import keys"),
        ("gtapi.web.health", "import importlib\nimportlib.import_module('inference.routing')"),
        ("inference.routing", "from gtapi.settings import MAX_BODY_BYTES"),
        ("inference.tasks", "from gtapi import celery"),
        ("gtapi.database", "from . import urls"),
        ("gtapi.stack.launcher", "from ..celery import app"),
    ],
)
def test_a_wrong_import_is_caught(name, line):
    assert wrong_arrows(name, line)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "inference.routing",
            "from files.models import Dataset\nfrom tenants import keys\nimport gtapi.errors",
        ),
        ("gtapi.asgi", "from tenants import policy\nfrom gtapi.urls import urlpatterns"),
        ("gtapi.stack.launcher", "from gtapi.data_dir import data_dir\nfrom . import postgres"),
        ("files.models", "import celery\nfrom django.conf import settings"),
    ],
)
def test_an_import_that_follows_the_order_passes(name, line):
    assert wrong_arrows(name, line) == []


def test_relative_imports_are_resolved():
    assert "gtapi.stack.postgres" in imported("gtapi.stack.launcher", "from . import postgres")
    assert "gtapi.data_dir" in imported("gtapi.stack.launcher", "from ..data_dir import data_dir")
    assert "gtapi.stack.redis" in imported("gtapi.stack", "from .redis import start", package=True)


def relations_from_above(app: str) -> set[str]:
    """The reverse relations of this and lower apps that a higher app declares.

    Without names that the app itself also uses for a relation, such as ``grants``.
    """
    above, own = set(), set()
    for model in apps.get_models():
        if model._meta.app_label not in ORDER[ORDER.index(app) :]:
            continue
        for relation in model._meta.related_objects:
            declared_above = relation.related_model._meta.app_label in ORDER[: ORDER.index(app)]
            (above if declared_above else own).add(relation.name)
    return above - own


def followed(source: str, relations: set[str]) -> set[str]:
    """The relations that a module follows as an attribute or in a lookup."""
    words: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr=name):
                words.add(name)
            case ast.keyword(arg=str(name)):
                words.update(name.split("__"))
            case ast.Constant(value=str(text)) if "__" in text:
                words.update(text.split("__"))
    return words & relations


def test_relations_to_higher_apps_are_followed_only_in_listed_modules():
    relations = {app: relations_from_above(app) for app in ("files", "tenants")}
    actual = {
        name: names
        for name, path in modules()
        if (app := name.partition(".")[0]) in relations
        and ".migrations." not in name
        and (names := followed(path.read_text(), relations[app]))
    }
    assert actual == REACHES_UP


@pytest.mark.parametrize(
    "line",
    ["tenant.targets.count()", "Count('targets__agent')", "Tenant.objects.filter(targets__name='fast')"],
)
def test_following_a_relation_is_detected(line):
    assert followed(line, {"targets"}) == {"targets"}


def product_classes(source: str) -> Iterator[str]:
    """Yield the names of a module's classes, without those that a framework looks up by a fixed name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name not in {"Command", "Media", "Meta", "State"}:
            yield node.name


def test_class_names_are_unique():
    """Each class name has one meaning in the whole product."""
    modules_by_class: dict[str, list[str]] = {}
    for app in (*ORDER, "local_models"):
        for path in sorted((CHECKOUT / app).rglob("*.py")):
            if "migrations" not in path.parts:
                for name in product_classes(path.read_text()):
                    modules_by_class.setdefault(name, []).append(str(path.relative_to(CHECKOUT)))
    assert {name: paths for name, paths in modules_by_class.items() if len(paths) > 1} == {}
