"""The recipes "Add a setting", "Add a scope" and "Add a runbook" of CONTRIBUTING.md, performed on copies of the code."""

import shutil

from tests.recipes.checkout import CHECKOUT, SAMPLE, add_after, copy_code, run

SCOPE_IS_KNOWN = """
import django; django.setup()
from inference.admin.key_forms import KeyForm, _scope_choices
from inference.configuration.specs import parse
from tenants.scopes import PRESETS
names = [name for _, choices in _scope_choices() for name, _ in choices]
assert "batches:write" in names and "batches:write" in PRESETS["everything"].scopes
key = {"name": "web", "scopes": ["batches:write"]}
document = parse({"tenants": [{"slug": "acme", "keys": [key]}]}, {})
assert not document.problems, document.problems
"""
RUNBOOK_IS_RENDERED = """
import django; django.setup()
from gtapi.runbooks.render import markdown, render
from gtapi.runbooks.runbook import runbooks
from inference.runbooks.values import generic_values
page = markdown(render(runbooks()["notebook"], generic_values()))
assert "| setting | Preferences | value |" in page, page
assert "| `POST /v1/chat/completions` | `native` | `inference:chat` |" in page, page
assert "Python" not in page and "Node" not in page and "Caveats" not in page, page
"""


def test_new_setting_of_agents_takes_a_field_and_a_declaration(tmp_path):
    copy = copy_code(tmp_path)
    agents = copy / "inference/models/agents.py"
    add_after(
        agents,
        '        Setting("instructions", section=DRAFT),\n',
        '        Setting("tone", section=DRAFT),\n',
    )
    field = '    tone = models.CharField(max_length=40, blank=True, default="", db_default="")\n'
    add_after(agents, 'help_text="The system message at the start of every chat.")\n', field)
    latest = max(path.stem for path in (copy / "inference/migrations").glob("0*.py"))
    migration = (SAMPLE / "0999_tone.py").read_text().replace("LATEST", latest)
    (copy / "inference/migrations/0999_tone.py").write_text(migration)
    shutil.copy(SAMPLE / "tone_suite.py", copy / "tests/admin/test_tone.py")
    assert "2 passed" in run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/admin/test_tone.py")


def test_new_scope_is_one_row(tmp_path):
    copy = copy_code(tmp_path)
    row = '    Scope("batches:write", "Create and cancel batches"),\n'
    add_after(copy / "tenants/scopes.py", '    Scope("inference:moderate", "Moderations"),\n', row)
    run(copy, "-c", SCOPE_IS_KNOWN)


def test_new_runbook_is_one_file_for_a_client_without_an_sdk(tmp_path):
    copy = copy_code(tmp_path)
    shutil.copy(SAMPLE / "notebook.yaml", copy / "gtapi/runbooks/notebook.yaml")
    run(copy, "-c", RUNBOOK_IS_RENDERED)


def test_every_recipe_is_in_the_guide():
    guide = (CHECKOUT / "CONTRIBUTING.md").read_text()
    for recipe in ("Add a setting", "Add a scope", "Add a runbook"):
        assert f"\n### {recipe}\n" in guide
