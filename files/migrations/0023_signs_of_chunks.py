from time import sleep

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

#: Numbers of chunks that one statement goes through.
BATCH = 1000
#: Seconds after which chunks are tried again that somebody else held.
PAUSE = 0.1
# They are read before the first one is held, and none is waited for: a deletion goes through them in another order.
ADD = """
    WITH read AS MATERIALIZED (
        SELECT id, setweight(files_signs(heading || E'\\n\\n' || text), 'D') AS signs FROM files_chunk
        WHERE id > %s AND id <= %s AND signs IS NULL
    ), held AS MATERIALIZED (
        SELECT id FROM files_chunk WHERE id IN (SELECT id FROM read WHERE signs IS NOT NULL)
        FOR NO KEY UPDATE SKIP LOCKED
    ), added AS (
        UPDATE files_chunk chunk SET signs = read.signs FROM held JOIN read USING (id) WHERE chunk.id = held.id
        RETURNING chunk.id
    )
    SELECT (SELECT count(signs) FROM read) > (SELECT count(*) FROM added)
"""


def add_signs(apps, schema_editor):
    """Give the chunks that were there before their signs.

    Each batch is a transaction of its own, which the deletion of its chunks waits for and nothing else; it waits for
    nobody while it holds any. Broken off, it can be run again.
    """
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(min(id), 1) - 1, COALESCE(max(id), 0) FROM files_chunk")
        first, last = cursor.fetchone()
        for start in range(first, last, BATCH):
            cursor.execute(ADD, [start, start + BATCH])
            while cursor.fetchone()[0]:
                sleep(PAUSE)
                cursor.execute(ADD, [start, start + BATCH])


class Migration(migrations.Migration):

    atomic = False

    dependencies = [('files', '0022_signs')]

    operations = [
        migrations.RunPython(add_signs, migrations.RunPython.noop),
        # Of other chunks it holds nothing, so they cost it nothing.
        AddIndexConcurrently(
            model_name='chunk',
            index=GinIndex(condition=models.Q(signs__isnull=False), fields=['signs'], name='files_chunk_signs'),
        ),
    ]
