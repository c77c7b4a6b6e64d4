"""What the passages of explanations say moves into a table of its own, whose rows go with the files' places."""

import django.db.models.deletion
from django.db import migrations, models


def gone_with(column: str, target: str) -> migrations.RunSQL:
    """Refer from a text to what it goes with, whoever deletes that."""
    name = f"inference_explainedtext_{column}"
    return migrations.RunSQL(
        f"ALTER TABLE inference_explainedtext ADD CONSTRAINT {name} FOREIGN KEY ({column})"
        f" REFERENCES {target} (id) ON DELETE CASCADE;",
        f"ALTER TABLE inference_explainedtext DROP CONSTRAINT {name};",
    )


class Migration(migrations.Migration):

    dependencies = [
        ('files', '0010_made_by_clients'),
        ('inference', '0009_count_conversations'),
    ]

    operations = [
        migrations.CreateModel(
            name='ExplainedText',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField()),
                ('heading', models.CharField(blank=True, max_length=300)),
                ('text', models.TextField()),
                ('explanation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='texts', to='inference.explanation')),
                ('place', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='files.datasetfile')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('explanation', 'position'), name='inference_one_text_a_position')],
            },
        ),
        gone_with("explanation_id", "inference_explanation"),
        gone_with("place_id", "files_datasetfile"),
    ]
