"""`manage.py apply` refuses: every problem with its place, no traceback, and the database untouched."""

import pytest
from django.core.management.base import CommandError

from files.models import Dataset
from inference.models import Agent, Provider
from inference.providers import ADAPTERS
from tenants.models import Tenant
from tests import factories
from tests.inference.commands import manage, run
from tests.providers.sample.tiny import Tiny

SOUND = """\
    tenants:
      - slug: {slug}
        files: {{embedding: embedder, max_files: 10}}
        providers:
          - name: main
            base_url: "https://llm.example.com/v1"
            timeouts: {{connect: 5}}
        catalog:
          - {{name: fast, provider: main, model: raw}}
          - {{name: embedder, provider: main, model: raw-embed, capabilities: [embed]}}
        datasets:
          - {{name: handbook, embedding: embedder}}
        agents:
          - {{alias: support, catalog: fast, datasets: [handbook]}}
        keys:
          - {{name: web, preset: openai-chat-client, scopes: [], allow: [support], datasets: []}}
"""

A_STRING = "expected a string, but got an"


@pytest.fixture
def refused(configuration, slug):
    """Applies the sound file with one piece replaced, or another text, and returns the lines of the refusal."""

    def apply(old: str = "", new: str = "", text: str = SOUND, *arguments: str) -> list[str]:
        text = text.replace("{slug}", slug).replace("{{", "{").replace("}}", "}")
        assert old in text
        with pytest.raises(CommandError) as refusal:
            configuration.apply(text.replace(old, new, 1), *arguments)
        assert not Tenant.objects.filter(slug=slug).exists()
        return str(refusal.value).splitlines()

    return apply


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            '            base_url: "https://llm.example.com/v1"\n',
            "",
            "tenants[0].providers[0].base_url: A provider of this kind needs a base URL.",
        ),
        ("tenants:", "tenant:", "tenant: unknown field; did you mean tenants?"),
        ("datasets:", "dataset:", "tenants[0].dataset: unknown field; did you mean datasets?"),
        ("base_url:", "url:", "tenants[0].providers[0].url: unknown field; did you mean base_url?"),
        (
            "{connect: 5}",
            "{read: 5}",
            (
                "tenants[0].providers[0].timeouts.read: unknown field; the fields here are connect, first_byte,"
                " between_chunks, total"
            ),
        ),
        ("model: raw}", "modell: raw}", "tenants[0].catalog[0].modell: unknown field; did you mean model?"),
        (
            "alias: support,",
            "alias: support, instruction: x,",
            "tenants[0].agents[0].instruction: unknown field; did you mean instructions?",
        ),
        ("allow:", "allowed:", "tenants[0].keys[0].allowed: unknown field; did you mean allow?"),
        ("max_files:", "max_file:", "tenants[0].files.max_file: unknown field; did you mean max_files?"),
    ],
)
def test_an_unknown_field_is_named_with_its_path_and_a_suggestion(refused, old, new, line):
    assert line in refused(old, new)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "provider: main, model: raw}",
            "provider: mian, model: raw}",
            "tenants[0].catalog[0].provider: there is no provider 'mian'; did you mean 'main'?",
        ),
        (
            "catalog: fast",
            "catalog: slow",
            "tenants[0].agents[0].catalog: there is no catalog entry 'slow'",
        ),
        (
            "handbook, embedding: embedder",
            "handbook, embedding: fast",
            "tenants[0].datasets[0].embedding: the catalog entry 'fast' cannot embed",
        ),
        (
            "files: {embedding: embedder",
            "files: {embedding: fast",
            "tenants[0].files.embedding: the catalog entry 'fast' cannot embed",
        ),
        (
            "files: {embedding: embedder",
            "files: {embedding: embeder",
            "tenants[0].files.embedding: there is no catalog entry 'embeder'; did you mean 'embedder'?",
        ),
        (
            "files: {embedding: embedder",
            "files: {transcription: embedder",
            "tenants[0].files.transcription: the catalog entry 'embedder' cannot transcribe",
        ),
        ("max_files: 10", "max_files: ten", "tenants[0].files.max_files: this has to be a number"),
        ("max_files: 10", "max_files: 1.5", "tenants[0].files.max_files: this has to be a whole number"),
        (
            "max_files: 10",
            "max_stored_bytes: -1",
            "tenants[0].files.max_stored_bytes: Ensure this value is greater than or equal to 0.",
        ),
        (
            "catalog: fast",
            "catalog: embedder",
            "tenants[0].agents[0].catalog: the catalog entry 'embedder' cannot chat",
        ),
        (
            "handbook, embedding: embedder",
            "handbook, metadata: {team: 5}",
            f"tenants[0].datasets[0].metadata: Invalid type for 'metadata.team': {A_STRING} integer instead.",
        ),
        (
            "datasets: [handbook]",
            "datasets: [handbok]",
            "tenants[0].agents[0].datasets[0]: there is no dataset 'handbok'; did you mean 'handbook'?",
        ),
        (
            "allow: [support]",
            "allow: [fast, suport]",
            "tenants[0].keys[0].allow[1]: there is no agent or catalog entry 'suport'; did you mean 'support'?",
        ),
        ("datasets: []", "datasets: [x]", "tenants[0].keys[0].datasets[0]: there is no dataset 'x'"),
        (
            "openai-chat-client",
            "openai-chat-clients",
            (
                "tenants[0].keys[0].preset: there is no preset 'openai-chat-clients'; "
                "did you mean 'openai-chat-client'?"
            ),
        ),
        (
            "scopes: []",
            "scopes: [inference:chat, inference:chats]",
            "tenants[0].keys[0].scopes[1]: there is no scope 'inference:chats'; did you mean 'inference:chat'?",
        ),
        (
            "capabilities: [embed]",
            "capabilities: [embed, sing]",
            "tenants[0].catalog[1].capabilities[1]: there is no capability 'sing'",
        ),
        (
            'base_url: "https',
            'kind: openai\n            base_url: "https',
            (
                "tenants[0].providers[0].kind: there is no kind of provider 'openai'; "
                "did you mean 'openai_compatible'?"
            ),
        ),
        (
            "provider: main, model: raw}",
            "model: raw}",
            "tenants[0].catalog[0].provider: this field is missing: the name of a provider",
        ),
        ("name: web, ", "", "tenants[0].keys[0].name: this field is missing"),
        ("slug: ", "slug: ~ #", "tenants[0].slug: this field is missing"),
    ],
)
def test_an_unknown_or_missing_name_is_an_error_with_its_path(refused, old, new, line):
    assert refused(old, new) == [line]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "name: embedder",
            "name: fast",
            "tenants[0].catalog[1].name: the name 'fast' is taken by tenants[0].catalog[0].name",
        ),
        (
            "alias: support",
            "alias: fast",
            "tenants[0].agents[0].alias: the name 'fast' is taken by tenants[0].catalog[0].name",
        ),
        (
            "catalog:",
            "  - {name: main, base_url: 'https://b.example/v1'}\n        catalog:",
            "tenants[0].providers[1].name: the name 'main' is taken by tenants[0].providers[0].name",
        ),
    ],
)
def test_duplicate_name_is_an_error(refused, old, new, line):
    assert line in refused(old, new)


def test_duplicate_tenant_is_an_error(refused):
    assert refused(text="tenants: [{slug: {slug}}, {slug: {slug}}]")[0].startswith(
        "tenants[1].slug: the name 'acme"
    )


JSON_ALONE = "JSON has no such value; put it in quotes to make it text"
UNSTORABLE = "this holds a character that cannot be stored"
BLANK = "This field cannot be blank."


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ("web", "5", "keys[0].name", "this has to be text; put it in quotes"),
        ("web", "no", "keys[0].name", "this has to be text; put it in quotes"),
        ("web", "[a]", "keys[0].name", "this has to be text"),
        ("[support]", "support", "keys[0].allow", "this has to be a list"),
        (
            "datasets: []",
            "expires_at: soon",
            "keys[0].expires_at",
            "this has to be a date, such as 2030-12-31 or 2030-12-31T18:00:00Z",
        ),
        ("5}", "fast}", "providers[0].timeouts.connect", "this has to be a number"),
        ("5}", ".nan}", "providers[0].timeouts.connect", "this has to be a number"),
        ("5}", "true}", "providers[0].timeouts.connect", "this has to be a number"),
        ("5}", "0}", "providers[0].timeouts.connect", "Ensure this value is greater than or equal to 0.1."),
        ("{connect: 5}", "[5]", "providers[0].timeouts", "this has to be a mapping of fields"),
        ("datasets: [handbook]", "passages: 2.5", "agents[0].passages", "this has to be a whole number"),
        (
            "datasets: [handbook]",
            "passages: 51",
            "agents[0].passages",
            "Ensure this value is less than or equal to 50.",
        ),
        (
            "datasets: [handbook]",
            "passage_tokens: all",
            "agents[0].passage_tokens",
            "this has to be a number",
        ),
        (
            "datasets: [handbook]",
            "relevance: 1.5",
            "agents[0].relevance",
            "Ensure this value is less than or equal to 1.",
        ),
        (
            "https://llm",
            "https://me:secret@llm",
            "providers[0].base_url",
            "Leave credentials, query and fragment out of the URL.",
        ),
        (
            "timeouts:",
            "headers: [X-A] #",
            "providers[0].headers",
            "this has to be a mapping of names and values",
        ),
        ("timeouts:", "headers: {Host: a} #", "providers[0].headers", "Host is set by the gateway."),
        (
            "timeouts:",
            "headers: {X-A: null} #",
            "providers[0].headers.X-A",
            "no value is stored for this header; write its value",
        ),
        (
            "timeouts:",
            "headers: {X-A: a, x-a: b} #",
            "providers[0].headers",
            "the same header is listed twice; upper and lower case make no difference",
        ),
        ("raw}", "raw, published: maybe}", "catalog[0].published", "this has to be true or false"),
        ("raw}", "''}", "catalog[0].model", BLANK),
        ("raw}", "raw, capabilities: []}", "catalog[0].capabilities", BLANK),
        (
            "catalog: fast",
            "catalog: fast, parameters: {stream: true}",
            "agents[0].parameters",
            "stream cannot be set on an agent.",
        ),
        ("catalog: fast", "catalog: fast, forced: [1]", "agents[0].forced", "this has to be a mapping"),
        (
            "catalog: fast",
            "catalog: fast, forced: {a: {b: [2030-01-01]}}",
            "agents[0].forced.a.b[0]",
            JSON_ALONE,
        ),
        ("catalog: fast", "catalog: fast, forced: {a: .inf}", "agents[0].forced.a", JSON_ALONE),
        ("catalog: fast", 'catalog: "a\\0b"', "agents[0].catalog", UNSTORABLE),
        ("catalog: fast", 'catalog: "a\\ud800b"', "agents[0].catalog", UNSTORABLE),
    ],
)
def test_a_wrong_value_is_an_error_with_its_path(refused, old, new, path, message):
    assert f"tenants[0].{path}: {message}" in refused(old, new)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("https://llm", "ftp://llm", "tenants[0].providers[0].base_url"),
        ("name: fast", "name: 'a b'", "tenants[0].catalog[0].name"),
        ("providers:", "hosts: ['https://x']\n        providers:", "tenants[0].hosts"),
        ("slug: ", "slug: 'A B' #", "tenants[0].slug"),
    ],
)
def test_model_validation_error_has_its_path(refused, old, new, path):
    assert path in [line.partition(": ")[0] for line in refused(old, new)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tenants:\n  - slug: [a\n", "line 3, column 1: expected ',' or ']', but got '<stream end>'"),
        ("tenants:\n\t- slug: a", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("tenants: []\ntenants: []", "line 2, column 1: the field 'tenants' stands here twice"),
        (
            "tenants: [{slug: a,\n  agents: [{alias: b, alias: c}]}]",
            "line 2, column 23: the field 'alias' stands here twice",
        ),
        ("tenants: &all []", "line 1, column 10: anchors and aliases are not read; write the value out"),
        ("tenants: *all", "line 1, column 10: anchors and aliases are not read; write the value out"),
        (
            "tenants: [{<<: {slug: a}}]",
            "line 1, column 12: merge keys (<<) are not read; write the fields out",
        ),
        ("tenants: !!python/object:os.system []", "line 1, column 10: this tag is not known"),
        ("tenants: !!binary abcd", "line 1, column 10: this tag is not known"),
        ("1: []", "line 1, column 1: a field's name has to be text; put it in quotes"),
        ("tenants: 2030-02-31", "line 1, column 10: this is not a valid number or date"),
        ("tenants: " + "[" * 200, "line 1, column 109: nested deeper than 100 levels"),
        ("tenants: []\n---\ntenants: []", "line 2, column 1: but found another document"),
        ("a\x01b", "line 1, column 2: this character is not allowed"),
        ("", "The file is empty; it has to begin with `tenants:`."),
        ("- slug: a", "The file has to be a mapping that begins with `tenants:`."),
        ("{}", "tenants: this field is missing"),
        ("tenants: {slug: a}", "tenants: this has to be a list"),
        ("tenants: [a]", "tenants[0]: this has to be a mapping of fields"),
    ],
)
def test_invalid_configuration_is_refused_with_its_position(tmp_path, text, line):
    file = tmp_path / "file.yaml"
    file.write_text(text)
    with pytest.raises(CommandError) as refusal:
        run("apply", str(file))
    assert line in str(refusal.value).splitlines()


def test_several_errors_are_reported_together(refused):
    text = SOUND.replace("model: raw}", "modell: raw}").replace("catalog: fast,", "catalog: slow,")
    text = text.replace('"https://llm.example.com/v1"', "nonsense").replace("allow: [support]", "allow: [x]")
    text = text.replace("[embed]", "[embed, sing]")
    assert {line.partition(":")[0] for line in refused(text=text)} == {
        "tenants[0].providers[0].base_url",
        "tenants[0].catalog[0].modell",
        "tenants[0].catalog[1].capabilities[1]",
        "tenants[0].agents[0].catalog",
        "tenants[0].keys[0].allow[0]",
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("${GTAPI_TEST_MISSING}", "the environment has no variable GTAPI_TEST_MISSING"),
        ("${GTAPI_TEST_EMPTY}", 'the variable is empty; write "" to clear what is stored'),
        ("${UPSTREAM-KEY}", "after ${ comes a name and }; write $${ for the text ${ itself"),
        ("${", "after ${ comes a name and }; write $${ for the text ${ itself"),
    ],
)
def test_missing_variable_is_an_error(refused, monkeypatch, value, message):
    monkeypatch.setenv("GTAPI_TEST_EMPTY", "")
    lines = refused("timeouts:", f'api_key: "{value}"\n            timeouts:')
    assert lines == [f"tenants[0].providers[0].api_key: {message}"]


def test_errors_show_no_secrets(refused, monkeypatch):
    secret = "sk-never-to-be-seen"
    monkeypatch.setenv("GTAPI_TEST_SECRET", f"{secret}\nmore")
    header = 'headers: {X-Key: "${GTAPI_TEST_SECRET}"}\n            timeouts:'
    for new in (
        'api_key: "${GTAPI_TEST_SECRET}"\n            timeouts:',
        header,
        f"api_key: [{secret}]\n            timeouts:",
    ):
        lines = refused("timeouts:", new)
        assert lines
        assert secret not in "".join(lines)


def test_errors_exit_with_1_and_no_traceback(tmp_path, slug):
    file = tmp_path / "file.yaml"
    file.write_text(f"tenants: [{{slug: {slug}, agent: []}}]")
    for arguments in (
        [str(file)],
        [str(tmp_path / "missing.yaml")],
        [str(tmp_path)],
        ["-"],
    ):
        done = manage("apply", *arguments, text="tenants: [")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("CommandError: ")
        assert "Traceback" not in done.stderr
    assert not Tenant.objects.filter(slug=slug).exists()


def test_binary_file_is_refused(tmp_path):
    file = tmp_path / "file.yaml"
    file.write_bytes(b"tenants: [\xff]")
    with pytest.raises(CommandError, match="is not UTF-8 text"):
        run("apply", str(file))


def test_unavailable_database_is_reported_in_one_sentence(tmp_path):
    (tmp_path / "file.yaml").write_text("tenants: [{slug: a}]")
    away = {"DATABASE_URL": "postgres://gtapi@127.0.0.1:9/gtapi", "DATABASE_POOL_TIMEOUT": "1"}
    done = manage("apply", str(tmp_path / "file.yaml"), **away)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("CommandError: The database refused: ")
    assert "Traceback" not in done.stderr


def test_refused_file_changes_nothing(configuration, slug):
    text = SOUND.format(slug=slug)
    configuration.apply(text)
    broken = text.replace("llm.example.com", "other.example.com").replace("catalog: fast,", "catalog: slow,")
    with pytest.raises(CommandError):
        configuration.apply(broken, "--prune", "--yes")
    assert Provider.objects.get(tenant__slug=slug).base_url == "https://llm.example.com/v1"
    assert Agent.objects.get(tenant__slug=slug).catalog.name == "fast"


def test_a_name_cannot_change_its_kind_without_prune(configuration, slug):
    text = SOUND.format(slug=slug)
    configuration.apply(text)
    with pytest.raises(CommandError) as refusal:
        configuration.apply(
            text.replace("alias: support", "alias: help").replace("name: fast", "name: support")
        )
    assert "tenants[0].catalog[0].name: there is an agent 'support'" in str(refusal.value)


def test_dataset_of_a_client_is_not_adopted(configuration, slug):
    tenant = factories.tenant(slug=slug)
    dataset = factories.dataset(tenant, "handbook", by_client=True)
    said = "a client made a dataset of this name; rename it, or take it over in the admin"
    undeclared = SOUND.replace("datasets: []", "datasets: [handbook]").replace(
        "- {{name: handbook, embedding: embedder}}", "[]"
    )
    for text, places in (
        (SOUND, ["datasets[0].name"]),
        (undeclared, ["agents[0].datasets[0]", "keys[0].datasets[0]"]),
    ):
        for option in ([], ["--prune", "--yes"]):
            with pytest.raises(CommandError) as refusal:
                configuration.apply(text.format(slug=slug), *option)
            assert str(refusal.value).splitlines() == [f"tenants[0].{place}: {said}" for place in places]
    assert not Agent.objects.filter(tenant=tenant).exists()
    Dataset.objects.filter(pk=dataset.pk).update(by_client=False)
    configuration.apply(SOUND.format(slug=slug))
    assert list(Agent.objects.get(tenant=tenant).datasets.all()) == [dataset]


def test_capability_that_the_adapter_does_not_serve_is_refused(refused, monkeypatch):
    monkeypatch.setitem(ADAPTERS, "tiny", Tiny())
    lines = refused('base_url: "https', 'kind: tiny\n            base_url: "https')
    expected = "tenants[0].catalog[1].capabilities: Providers of the kind 'Tiny' do not support: embed."
    assert expected in lines
