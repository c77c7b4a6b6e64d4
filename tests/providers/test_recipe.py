"""The recipe "Add a provider" of CONTRIBUTING.md, performed on a copy of the code."""

import shutil
from pathlib import Path

import pytest

from tests.recipes.checkout import add_after, copy_code, run

SAMPLE = Path(__file__).parent / "sample"
#: By file: the line before a new row, and the row.
ROWS = {
    "inference/providers/__init__.py": ('    "fake": Fake(),\n', '    "tiny": Tiny(),\n'),
    "tests/providers/scripts.py": ('    "fake": FakeScript(),\n', '    "tiny": TinyScript(),\n'),
}
IMPORTS = {
    "inference/providers/__init__.py": "from inference.providers.tiny import Tiny\n",
    "tests/providers/scripts.py": "from tests.providers.tiny_script import TinyScript\n",
}
OFFERED = """
import django; django.setup()
from inference.admin.provider_forms import ProviderForm, kinds
from inference.configuration.specs import parse
assert ("tiny", "Tiny") in kinds()
provider = {"name": "main", "kind": "tiny", "base_url": "https://tiny.example"}
document = parse({"tenants": [{"slug": "acme", "providers": [provider]}]}, {})
assert not document.problems, document.problems
"""


@pytest.fixture(scope="module", autouse=True)
def database() -> None:
    """No database: the copy needs none either."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the code with the sample adapter: one new file and one row, and the same for the suite."""
    root = copy_code(tmp_path_factory.mktemp("checkout"))
    shutil.copy(SAMPLE / "tiny.py", root / "inference/providers/tiny.py")
    shutil.copy(SAMPLE / "tiny_script.py", root / "tests/providers/tiny_script.py")
    for name, (before, row) in ROWS.items():
        path = root / name
        add_after(path, before, row)
        text = path.read_text()
        docstring_end = text.index('"""\n', 3) + 4
        path.write_text(text[:docstring_end] + IMPORTS[name] + text[docstring_end:])
    return root


def test_new_adapter_passes_the_conformance_suite(copy):
    modules = ("tests/providers/test_conformance.py", "tests/providers/test_network.py")
    printed = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "tiny or every", *modules)
    assert int(printed.rpartition(" passed")[0].rsplit(maxsplit=1)[-1]) > 100


def test_new_kind_is_offered_by_the_admin_and_accepted_by_apply(copy):
    run(copy, "-c", OFFERED)
