"""The migration of the sample setting."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("inference", "LATEST")]
    operations: ClassVar = [
        migrations.AddField(
            model, "tone", models.CharField(max_length=40, blank=True, default="", db_default="")
        )
        for model in ("agent", "agentversion")
    ]
