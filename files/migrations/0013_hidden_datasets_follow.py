"""The datasets of conversations are embedded as their tenant says, whoever changes that: a form, ``apply``, or SQL.

It is the operator that does, and no key is booked for the new vectors.
"""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('files', '0012_take_over_uploaders'),
        ('tenants', '0004_files'),
    ]

    operations = [
        migrations.RunSQL(
            """
            CREATE FUNCTION files_follow_embedding() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                UPDATE files_dataset SET embedding = NEW.embedding, embedding_ordered_by_id = NULL
                WHERE tenant_id = NEW.id AND hidden AND embedding <> NEW.embedding;
                RETURN NULL;
            END $$;
            CREATE TRIGGER files_follow_embedding AFTER UPDATE ON tenants_tenant FOR EACH ROW
                WHEN (OLD.embedding IS DISTINCT FROM NEW.embedding) EXECUTE FUNCTION files_follow_embedding();
            """,
            """
            DROP TRIGGER files_follow_embedding ON tenants_tenant;
            DROP FUNCTION files_follow_embedding();
            """,
        ),
    ]
