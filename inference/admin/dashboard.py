"""The dashboard: usage metrics, alerts and recent errors."""

import json
from typing import Any

from django.http import HttpRequest

from gtapi.templatetags.amounts import ago
from gtapi.text import pluralize
from inference.admin.alerts import alerts, setup_steps
from inference.admin.metrics import PERIODS, PeriodMetrics, period_metrics, recent_errors, top_models
from tenants.models import Tenant

DEFAULT_PERIOD = "24h"
#: Numbers from here on are said in thousands.
SHORTENED = 10_000
_AXIS: dict[str, Any] = {
    "stacked": True,
    "border": {"width": 0},
    "ticks": {"color": "#9ca3af", "maxRotation": 0, "autoSkipPadding": 16, "precision": 0},
}
CHART_OPTIONS = json.dumps(
    {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "maxBarThickness": 22,
        "interaction": {"mode": "index", "intersect": False},
        "plugins": {"legend": {"display": False}},
        "scales": {"x": {**_AXIS, "grid": {"display": False}}, "y": {**_AXIS, "beginAtZero": True}},
    }
)


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the dashboard's figures to the context of the index page; the theme's hook."""
    period = request.GET.get("period", "")
    period = period if period in PERIODS else DEFAULT_PERIOD
    tenants = list(Tenant.objects.all()) if request.user.has_perm("tenants.view_tenant") else []
    tenant = next((one for one in tenants if str(one.pk) == request.GET.get("tenant")), None)
    items = [item for item in alerts(tenant) if request.user.has_perm(item.permission)]
    steps = [step for step in setup_steps() if request.user.has_perm(step.permission)]
    context.update(
        title="Dashboard",
        periods=[(name, label, name == period) for name, (label, _) in PERIODS.items()],
        period=period,
        period_label=PERIODS[period][0],
        tenants=tenants,
        tenant=tenant,
        items=items,
        steps=[] if all(step.done for step in steps) else steps,
        steps_done=sum(step.done for step in steps),
    )
    if request.user.has_perm("tenants.view_usagerecord"):
        pk = tenant.pk if tenant else None
        found = period_metrics(period, pk)
        context.update(
            metrics=found,
            cards=_cards(found),
            chart=_chart(found),
            chart_options=CHART_OPTIONS,
            models=[
                {
                    "model": row["model"],
                    "requests": row["requests"],
                    "tokens": _tokens(row["tokens"]),
                    "failed": f"{row['error_rate']:.1f} %",
                }
                for row in top_models(period, pk)
            ],
            errors=[(record, ago(record.created_at)) for record in recent_errors(period, pk)],
        )
    return context


def _cards(found: PeriodMetrics) -> list[dict[str, Any]]:
    now, before = found.current, found.before
    worse = bool(before.requests) and now.error_rate > before.error_rate + 1
    return [
        {"title": "Requests", "value": f"{now.requests:,}", "note": _change(now.requests, before.requests)},
        {
            "title": "Tokens",
            "value": _short(now.tokens),
            "note": f"{_short(now.input_tokens)} in, {_short(now.output_tokens)} out",
        },
        {
            "title": "Error rate",
            "value": f"{now.error_rate:.1f} %",
            "note": f"{now.failed:,} failed"
            + (f", {before.error_rate:.1f} % before" if before.requests else ""),
            "worse": worse,
        },
        {
            "title": "Mean latency",
            "value": f"{now.latency:,.0f} ms",
            "note": f"{before.latency:,.0f} ms before" if before.requests else "nothing to compare with",
        },
    ]


def _change(now: int, before: int) -> str:
    if not before:
        return "none in the period before"
    return f"{100 * (now - before) / before:+.0f} % against the period before"


def _short(number: int) -> str:
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (SHORTENED, "k")):
        if number >= size:
            return f"{number / (1000 if letter == 'k' else size):.1f} {letter}"
    return f"{number:,}"


def _tokens(number: int) -> str:
    return pluralize(number, "token") if number < SHORTENED else f"{_short(number)} tokens"


def _chart(found: PeriodMetrics) -> str:
    bars = list(found.bars.values())
    return json.dumps(
        {
            "labels": list(found.bars),
            "datasets": [
                {
                    "label": "Succeeded",
                    "data": [bar.requests - bar.failed for bar in bars],
                    "backgroundColor": "var(--color-primary-500)",
                    "borderRadius": 3,
                },
                {
                    "label": "Failed",
                    "data": [bar.failed for bar in bars],
                    "backgroundColor": "#ef4444",
                    "borderRadius": 3,
                },
            ],
        }
    )
