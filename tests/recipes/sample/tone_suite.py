"""What a new setting of agents has to reach, run in the copy of the code that has it."""

from django.urls import reverse

from inference.admin.diff import Names, differences
from inference.configuration import apply, export, specs
from inference.models import Agent


def test_new_setting_is_applied_exported_published_compared_and_shown_in_the_form(operator, world):
    text = export.dump(export.export([world.tenant.slug]))
    changed = text.replace("alias: support\n", "alias: support\n        tone: friendly\n")
    assert changed != text
    result = apply.apply(specs.read(changed, {}))
    assert "tone" in "\n".join(map(str, result.changes))
    agent = Agent.objects.get(pk=world.support.pk)
    assert (agent.tone, agent.live.tone) == ("friendly", "friendly")
    assert "tone: friendly" in export.dump(export.export([world.tenant.slug]))
    agent.tone = "formal"
    agent.save()
    assert agent.has_unpublished_changes()
    names = Names(agent.tenant_id)
    (difference,) = differences(names.of_version(agent.live), names.of_draft(agent))
    assert difference.field == "Tone"
    agent.restore(agent.live)
    assert agent.tone == "friendly"
    form = operator.get(reverse("admin:inference_agent_change", args=[agent.pk])).content.decode()
    assert 'name="tone"' in form


def test_setting_of_a_wrong_type_is_reported_under_its_name(world):
    tenant = {"slug": "acme", "agents": [{"alias": "a", "tone": 5}]}
    problems = specs.parse({"tenants": [tenant]}, {}).problems
    assert any(problem.path == "tenants[0].agents[0].tone" for problem in problems)
