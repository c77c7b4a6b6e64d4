"""Each row is in the partition of its month, whenever that partition was created."""

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest
from django.db import connection, connections

from gtapi.ids import uuid7_floor
from tenants import tasks
from tenants.models import UsageRecord
from tenants.usage import drain, partitions
from tests.tenants.usage.processes import event_values


@pytest.fixture(autouse=True)
def unlimited_retention(settings):
    """Maintaining partitions in the far future must not drop rows of other tests."""
    settings.USAGE_RETENTION_DAYS = 0


def at(moment: datetime) -> UUID:
    """A UUIDv7 of this time."""
    return UUID(int=uuid7_floor(moment.timestamp()).int | 0x7 << 76 | 0x2 << 62 | 1)


def store(moment: datetime) -> UUID:
    name = at(moment)
    line = orjson.dumps(event_values(id=str(name), created_at=moment.timestamp()))
    assert drain.store([line]) == (1, [])
    return name


def partition(name: UUID) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM tenants_usagerecord WHERE id = %s", [name])
        [[table]] = cursor.fetchall()
    return table.removeprefix("tenants_usagerecord_")


def months() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'tenants_usagerecord'::regclass ORDER BY 1"
        )
        return [name.removeprefix("tenants_usagerecord_") for (name,) in cursor.fetchall()]


def test_migrate_creates_the_partitions_of_this_and_the_next_month():
    now = datetime.now(UTC)
    assert partition(store(now)) == f"{now:%Y_%m}"
    assert f"{now.replace(day=1) + timedelta(days=32):%Y_%m}" in months()


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        (datetime(2031, 12, 1, tzinfo=UTC), "2031_12"),
        (datetime(2031, 12, 31, 23, 59, 59, 999000, tzinfo=UTC), "2031_12"),
        (datetime(2032, 1, 1, tzinfo=UTC), "2032_01"),
        (datetime(2032, 2, 29, 23, 59, 59, 999000, tzinfo=UTC), "2032_02"),
        (datetime(2032, 3, 1, tzinfo=UTC), "default"),
    ],
)
def test_partitions_cover_whole_months(moment, month):
    partitions.maintain(datetime(2031, 12, 15, tzinfo=UTC))
    assert partition(store(moment)) == month


def test_new_partition_takes_its_rows_from_the_default_partition():
    first, second = store(datetime(2033, 5, 5, tzinfo=UTC)), store(datetime(2033, 9, 5, tzinfo=UTC))
    assert {partition(first), partition(second)} == {"default"}
    partitions.maintain(datetime(2033, 5, 20, tzinfo=UTC))
    assert (partition(first), partition(second)) == ("2033_05", "default")
    assert UsageRecord.objects.filter(pk__in=[first, second]).count() == 2


def test_concurrent_maintenance_creates_each_partition_once():
    errors = []

    def maintain() -> None:
        try:
            partitions.maintain(datetime(2034, 1, 1, tzinfo=UTC))
        except Exception as error:  # noqa: BLE001 - reported below
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=maintain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [month for month in months() if month.startswith("2034")] == ["2034_01", "2034_02", "2034_03"]


def test_whole_months_beyond_the_retention_are_dropped(settings):
    partitions.maintain(datetime(2020, 3, 15, tzinfo=UTC))
    expired, retained = store(datetime(2020, 4, 30, tzinfo=UTC)), store(datetime(2020, 5, 1, tzinfo=UTC))
    expired_default, recent = store(datetime(2019, 1, 1, tzinfo=UTC)), store(datetime(2020, 9, 1, tzinfo=UTC))
    settings.USAGE_RETENTION_DAYS = 30
    partitions.maintain(datetime(2020, 6, 10, tzinfo=UTC))
    remaining = set(
        UsageRecord.objects.filter(pk__in=[expired, retained, expired_default, recent]).values_list(
            "pk", flat=True
        )
    )
    assert remaining == {retained, recent}
    assert "2020_04" not in months()
    assert f"{datetime.now(UTC):%Y_%m}" in months()


def test_maintenance_task_is_idempotent():
    before = months()
    tasks.maintain_partitions()
    assert f"{datetime.now(UTC):%Y_%m}" in before
    assert [month for month in months() if month > "2021"] == [month for month in before if month > "2021"]
