"""Passages hold no texts, whoever writes them: while the gateway is brought up to date, old processes go on for a while
and know no other place for them.
"""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('inference', '0012_newest_first'),
    ]

    operations = [
        migrations.RunSQL(
            """
            CREATE FUNCTION inference_without_texts(passages jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
                SELECT jsonb_agg(
                    CASE jsonb_typeof(one) WHEN 'object' THEN one - 'heading' - 'text' ELSE one END ORDER BY position
                ) FROM jsonb_array_elements(passages) WITH ORDINALITY said (one, position)
            $$;
            CREATE FUNCTION inference_drop_texts() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                NEW.passages = inference_without_texts(NEW.passages);
                RETURN NEW;
            END $$;
            CREATE TRIGGER inference_explanation_without_texts BEFORE INSERT ON inference_explanation FOR EACH ROW
                WHEN (jsonb_typeof(NEW.passages) = 'array' AND NEW.passages @? '$[*].text')
                EXECUTE FUNCTION inference_drop_texts();
            """,
            """
            DROP TRIGGER inference_explanation_without_texts ON inference_explanation;
            DROP FUNCTION inference_drop_texts();
            DROP FUNCTION inference_without_texts(jsonb);
            """,
        ),
        # What they wrote since the last migration.
        migrations.RunSQL(
            """
            UPDATE inference_explanation SET passages = inference_without_texts(passages)
            WHERE jsonb_typeof(passages) = 'array' AND passages @? '$[*].text';
            """,
            migrations.RunSQL.noop,
        ),
    ]
