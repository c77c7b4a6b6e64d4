"""Who ordered that a file is processed, and a dataset embedded by another model.

Empty columns cost no time. Their references need no look at the rows, since an empty one refers to nothing, and the
index of places follows in the next migration, which holds up nobody who writes; datasets are few.
"""

import django.db.models.deletion
from django.db import migrations, models

from tenants.triggers import require_one_tenant


def of_one_tenant(table: str, column: str) -> migrations.RunSQL:
    """Refuse a key of another tenant; updates of other columns are not looked at."""
    return require_one_tenant(
        table,
        f"{column}_tenant",
        "SELECT ($1).tenant_id",
        f"SELECT COALESCE((SELECT tenant_id FROM tenants_inferencekey WHERE id = ($1).{column}_id), ($1).tenant_id)",
        f"{column}_id",
    )


class Migration(migrations.Migration):

    dependencies = [
        ('files', '0010_made_by_clients'),
        ('tenants', '0004_files'),
    ]

    operations = [
        migrations.AddField(
            model_name='datasetfile',
            name='ordered_by',
            field=models.ForeignKey(db_index=False, help_text='Empty: an operator.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='tenants.inferencekey'),
        ),
        migrations.AddField(
            model_name='dataset',
            name='embedding_ordered_by',
            field=models.ForeignKey(editable=False, help_text='Empty: an operator.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='tenants.inferencekey'),
        ),
        of_one_tenant("files_datasetfile", "ordered_by"),
        of_one_tenant("files_dataset", "embedding_ordered_by"),
    ]
