"""A new column of the usage table takes one change: a field of `UsageEvent`."""

import re
from dataclasses import fields
from pathlib import Path

from tenants.models import UsageRecord
from tenants.usage.record import COLUMNS, UsageEvent
from tests.recipes.checkout import copy_code, run

FIELD = '    cost: Annotated[str, models.CharField(max_length=5, db_default="")] = "-"\n'
USE = """
import os, sys, time, uuid
import django
django.setup()
from django.core.management import call_command
from tenants.models import UsageRecord
from tenants.usage import drain
from tenants.usage.record import UsageEvent, pack, unpack

assert UsageRecord().cost == "-"
assert "cost" in drain.STORE
event = UsageEvent(uuid.uuid4(), time.time(), 1, 1, "req_1", "/models", cost="1234567" * 1000)
assert unpack(pack(event)).cost == "12345"
call_command("makemigrations", "tenants", dry_run=True)
"""


def test_model_event_and_statements_have_the_same_columns():
    assert tuple(field.attname for field in UsageRecord._meta.concrete_fields) == COLUMNS
    assert tuple(field.name for field in fields(UsageEvent)) == COLUMNS


def test_new_column_takes_one_field(tmp_path: Path):
    copy_code(tmp_path)
    record = tmp_path / "tenants" / "usage" / "record.py"
    text, changed = re.subn(r"(?m)^    first_token_ms: .*\n", rf"\g<0>{FIELD}", record.read_text())
    assert changed == 1
    record.write_text(text)
    printed = run(tmp_path, "-c", USE)
    assert "Add field cost to usagerecord" in printed
    assert printed.count("field") == 1
