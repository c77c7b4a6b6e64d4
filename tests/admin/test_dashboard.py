"""The dashboard: metrics, and items that need attention."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tenants.models import InferenceKey, KeyActivity, Tenant
from tests import factories
from tests.admin.conftest import queries, text, url
from tests.admin.test_usage import DAY, record


def dashboard(client, world, **query):
    response = client.get(url("index"), {"tenant": world.tenant.pk, **query})
    assert response.status_code == 200
    return response


def alerts(client, world) -> set[str]:
    return {item.text for item in dashboard(client, world).context["items"]}


class TestFigures:
    def test_metrics_cover_the_period_of_one_tenant(self, operator, world):
        record(world, input_tokens=100, output_tokens=20, latency_ms=100)
        record(world, status=502, latency_ms=300)
        record(world, status=499, latency_ms=200)
        record(factories.world("http://127.0.0.1:9/v1"))
        now = dashboard(operator, world).context["metrics"].current
        assert (now.requests, now.failed, now.tokens, now.latency) == (3, 1, 120, 200)
        assert round(now.error_rate, 1) == 33.3

    def test_week_counts_more_than_a_day(self, operator, world):
        record(world)
        record(world, age=3 * DAY)
        record(world, age=10 * DAY)
        assert dashboard(operator, world).context["metrics"].current.requests == 1
        week = dashboard(operator, world, period="7d").context["metrics"]
        assert (week.current.requests, week.before.requests) == (2, 1)

    @pytest.mark.parametrize(("period", "bars"), [("24h", {24}), ("7d", {7, 8})])
    def test_chart_includes_idle_periods(self, operator, world, period, bars):
        record(world)
        found = dashboard(operator, world, period=period).context["metrics"]
        assert len(found.bars) in bars
        assert sum(bar.requests for bar in found.bars.values()) == 1

    def test_most_used_names_come_first(self, operator, world):
        for model in ("fast", "support", "support"):
            record(world, model=model)
        models = [row["model"] for row in dashboard(operator, world).context["models"]]
        assert models == ["support", "fast"]

    @pytest.mark.parametrize(
        ("tokens", "said"),
        [(1, "1 request, 1 token"), (2, "1 request, 2 tokens"), (12_000, "1 request, 12.0 k tokens")],
    )
    def test_single_item_is_singular(self, operator, world, tokens, said):
        record(world, input_tokens=tokens)
        assert f"support {said}" in text(dashboard(operator, world))

    def test_recent_errors_lead_to_their_records(self, operator, world):
        failed = record(world, status=502, error_code="upstream_error", error_detail="main: it hung up")
        record(world, status=499)
        response = dashboard(operator, world)
        assert [row.pk for row, _ in response.context["errors"]] == [failed.pk]
        assert url("tenants_usagerecord_change", failed.pk) in response.content.decode()

    def test_unknown_period_or_tenant_is_ignored(self, operator):
        assert operator.get(url("index"), {"period": "x", "tenant": "'"}).status_code == 200


class TestAttention:
    def test_healthy_tenant_has_no_items(self, operator, world):
        assert alerts(operator, world) == set()
        assert "Nothing does" in text(dashboard(operator, world))

    def test_tenant_without_a_provider_needs_attention(self, operator):
        empty = factories.World(factories.tenant(), None, None, None, None)
        assert alerts(operator, empty) == {f"{empty.tenant.name} has no provider"}

    def test_unpublished_agents_and_changes_need_attention(self, operator, world):
        world.support.instructions = "Other."
        world.support.save()
        factories.agent(world.fast, "draft", published=False)
        assert alerts(operator, world) == {"1 agent with unpublished changes", "1 agent not published"}

    def test_expiring_and_unused_keys_need_attention(self, operator, world):
        factories.key(world.tenant, expires_at=timezone.now() + timedelta(days=3))
        old = factories.key(world.tenant).row
        InferenceKey.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=30))
        assert alerts(operator, world) == {"1 key about to expire", "1 key never used"}

    def test_failing_provider_needs_attention(self, operator, world):
        record(world, status=502, provider="main")
        record(world, status=504, provider="main")
        record(world, status=502, provider="main", age=3 * DAY)
        assert alerts(operator, world) == {"main: 2 faults"}

    def test_inactive_tenant_needs_attention(self, operator, world):
        world.tenant.active = False
        world.tenant.save()
        assert alerts(operator, world) == {f"{world.tenant.name} is off"}

    def test_every_item_links_to_an_existing_page(self, operator, world):
        world.support.unpublish()
        world.tenant.active = False
        world.tenant.save()
        record(world, status=502, provider="main")
        items = dashboard(operator, world).context["items"]
        assert len(items) == 3
        assert [operator.get(item.link).status_code for item in items] == [200, 200, 200]


class TestPermissions:
    def test_staff_without_permissions_sees_no_figures_and_no_names(self, staff, world):
        record(world, status=502, error_detail="main: secret detail", provider="main")
        response = staff().get(url("index"))
        page = text(response)
        assert response.status_code == 200
        assert "figures" not in response.context
        assert response.context["items"] == []
        assert "secret detail" not in page
        assert world.tenant.name not in page

    def test_sidebar_lists_permitted_pages(self, staff):
        html = staff("inference.view_agent").get(url("index")).content.decode()
        assert url("inference_agent_changelist") in html
        assert url("tenants_inferencekey_changelist") not in html


def test_more_rows_cost_no_more_queries(operator, world):
    record(world)
    address = url("index", tenant=world.tenant.pk)
    operator.get(address)
    with queries() as few:
        operator.get(address)
    for number in range(10):
        record(world, status=502, provider=f"provider-{number}", model=f"model-{number}")
        factories.agent(world.fast, f"agent-{number}")
        factories.key(world.tenant)
    with queries() as many:
        operator.get(address)
    assert len(many) == len(few)


@pytest.mark.django_db
def test_empty_gateway_shows_all_first_steps(operator):
    KeyActivity.objects.all().delete()
    Tenant.objects.all().delete()
    response = operator.get(url("index"))
    steps = response.context["steps"]
    assert [step.done for step in steps] == [False] * 6
    assert [operator.get(step.link).status_code for step in steps] == [200] * 6
    assert "0 of 6 done" in text(response)
    assert "There is no tenant yet" in text(operator.get(url("inference_provider_add")))


@pytest.mark.django_db
def test_completed_steps_are_ticked_and_the_finished_list_disappears(operator):
    KeyActivity.objects.all().delete()
    Tenant.objects.all().delete()
    made = factories.world("http://127.0.0.1:9/v1")
    steps = dashboard(operator, made).context["steps"]
    assert [step.text for step in steps if not step.done] == ["Serve a first request"]
    KeyActivity.objects.create(key=made.key.row, last_used_at=timezone.now())
    assert dashboard(operator, made).context["steps"] == []
