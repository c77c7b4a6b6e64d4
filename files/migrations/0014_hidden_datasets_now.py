from django.db import migrations

#: Rows of one statement.
BATCH = 1000
FOLLOW = """
    UPDATE files_dataset dataset SET embedding = tenant.embedding, embedding_ordered_by_id = NULL
    FROM tenants_tenant tenant
    WHERE tenant.id = dataset.tenant_id AND dataset.embedding <> tenant.embedding AND dataset.id IN (
        SELECT other.id FROM files_dataset other JOIN tenants_tenant its ON its.id = other.tenant_id
        WHERE other.hidden AND other.embedding <> its.embedding ORDER BY other.id LIMIT %s
    )
"""


def follow(apps, schema_editor):
    """Take over what tenants changed to before. Each batch is a transaction of its own; it can be run again."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(FOLLOW, [BATCH])
        while cursor.rowcount:
            cursor.execute(FOLLOW, [BATCH])


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('files', '0013_hidden_datasets_follow'),
    ]

    operations = [
        migrations.RunPython(follow, migrations.RunPython.noop),
    ]
