"""Bytes of files that are deleted are remembered until they are gone from storage."""

import django.db.models.functions.datetime
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files', '0006_ingestion'),
    ]

    operations = [
        migrations.CreateModel(
            name='Leftover',
            fields=[
                ('path', models.CharField(max_length=200, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True, default=django.utils.timezone.now)),
            ],
        ),
        migrations.RunSQL(
            """
            CREATE FUNCTION files_leave_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO files_leftover (path) SELECT path FROM gone ON CONFLICT DO NOTHING;
                RETURN NULL;
            END $$;
            CREATE TRIGGER files_file_leave_bytes AFTER DELETE ON files_file
                REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION files_leave_bytes();
            """,
            """
            DROP TRIGGER files_file_leave_bytes ON files_file;
            DROP FUNCTION files_leave_bytes();
            """,
        ),
    ]
