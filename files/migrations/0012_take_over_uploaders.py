from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

#: Rows of one statement.
BATCH = 5000
# In the order of their ids, and a row that somebody has ordered again meanwhile is theirs.
TAKE_OVER = """
    WITH batch AS (
        SELECT id, file_id FROM files_datasetfile
        WHERE id > %s AND id <= %s AND ordered_by_id IS NULL ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE files_datasetfile place SET ordered_by_id = file.key_id
    FROM batch JOIN files_file file ON file.id = batch.file_id
    WHERE place.id = batch.id AND file.key_id IS NOT NULL
"""


def take_over(apps, schema_editor):
    """Have places that were there before ordered by who uploaded their file.

    One statement for all of them would hold every row until its end, and workers could extend no lease meanwhile:
    each batch is a transaction of its own. Broken off, it can be run again.
    """
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(max(id), 0) FROM files_datasetfile")
        (last,) = cursor.fetchone()
        for start in range(0, last, BATCH):
            cursor.execute(TAKE_OVER, [start, start + BATCH])


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('files', '0011_ordered_by'),
    ]

    operations = [
        migrations.RunPython(take_over, migrations.RunPython.noop),
        AddIndexConcurrently(
            model_name='datasetfile',
            index=models.Index(fields=['ordered_by'], name='files_place_ordered_by'),
        ),
    ]
