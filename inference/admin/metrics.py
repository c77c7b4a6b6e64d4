"""Metrics of the dashboard, computed from usage records in three grouped queries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone

from gtapi.ids import uuid7_floor
from tenants.models import UsageRecord

CLIENT_LEFT = 499
FAILED = Q(status__gte=400) & ~Q(status=CLIENT_LEFT)
#: Hours of each period that the dashboard offers.
PERIODS = {"24h": ("24 hours", 24), "7d": ("7 days", 24 * 7)}


@dataclass(slots=True)
class Totals:
    """Sums over a stretch of time; ``milliseconds`` is the sum of the latencies."""

    requests: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    milliseconds: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        self.requests += row["requests"]
        self.failed += row["failed"]
        self.input_tokens += row["input"]
        self.output_tokens += row["output"]
        self.milliseconds += row["milliseconds"]

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def error_rate(self) -> float:
        """Percent of the requests that failed."""
        return 100 * self.failed / self.requests if self.requests else 0.0

    @property
    def latency(self) -> float:
        """Mean milliseconds of a request."""
        return self.milliseconds / self.requests if self.requests else 0.0


@dataclass(slots=True)
class PeriodMetrics:
    """A period, the one before it, and the bars of the chart with their labels."""

    current: Totals = field(default_factory=Totals)
    before: Totals = field(default_factory=Totals)
    bars: dict[str, Totals] = field(default_factory=dict)


def records(start: datetime, tenant_id: int | None) -> QuerySet[UsageRecord]:
    """Return the records since ``start``, of one tenant or of all; the id is what the table is partitioned on."""
    metrics = UsageRecord.objects.filter(id__gte=uuid7_floor(start.timestamp()))
    return metrics.filter(tenant_id=tenant_id) if tenant_id else metrics


def starts(period: str) -> datetime:
    """Return the full hour at which a period that ends now begins."""
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    return hour - timedelta(hours=PERIODS[period][1] - 1)


def period_metrics(period: str, tenant_id: int | None) -> PeriodMetrics:
    """Sum up a period and the one before it, hour by hour, in one query."""
    hours = PERIODS[period][1]
    start = starts(period)
    by_day = hours > 48
    metrics = PeriodMetrics()
    for number in range(hours):
        metrics.bars.setdefault(_label(start + timedelta(hours=number), by_day), Totals())
    rows = (
        records(start - timedelta(hours=hours), tenant_id)
        .annotate(hour=TruncHour("created_at"))
        .order_by()
        .values("hour")
        .annotate(
            requests=Count("id"),
            failed=Count("id", filter=FAILED),
            input=Sum("input_tokens"),
            output=Sum("output_tokens"),
            milliseconds=Sum("latency_ms"),
        )
    )
    for row in rows:
        if row["hour"] < start:
            metrics.before.add(row)
            continue
        metrics.current.add(row)
        metrics.bars.setdefault(_label(row["hour"], by_day), Totals()).add(row)
    return metrics


def _label(hour: datetime, by_day: bool) -> str:
    return f"{hour:%a %-d %b}" if by_day else f"{hour:%H:%M}"


def top_models(period: str, tenant_id: int | None, count: int = 6) -> list[dict[str, Any]]:
    """Return the names that were asked for most, with requests, failures and tokens."""
    rows = (
        records(starts(period), tenant_id)
        .exclude(model="")
        .order_by()
        .values("model")
        .annotate(
            requests=Count("id"),
            failed=Count("id", filter=FAILED),
            tokens=Sum(F("input_tokens") + F("output_tokens")),
        )
        .order_by("-requests", "model")[:count]
    )
    return [{**row, "error_rate": 100 * row["failed"] / row["requests"]} for row in rows]


def recent_errors(period: str, tenant_id: int | None, count: int = 6) -> list[UsageRecord]:
    """Return the last requests that failed."""
    return list(records(starts(period), tenant_id).filter(FAILED).order_by("-id")[:count])


def faulty_providers(tenant_id: int | None) -> list[tuple[str, int]]:
    """Return providers whose requests ended in a fault of theirs in the last day, with how many."""
    rows = (
        records(timezone.now() - timedelta(hours=24), tenant_id)
        .filter(status__gte=500)
        .exclude(provider="")
        .order_by()
        .values("provider")
        .annotate(faults=Count("id"))
        .order_by("-faults")[:3]
    )
    return [(row["provider"], row["faults"]) for row in rows]
