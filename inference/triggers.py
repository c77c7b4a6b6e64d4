"""Database triggers and foreign keys of the inference tables, as operations of migrations."""

from django.db.migrations.operations.special import RunSQL

#: The texts of explained passages live in their own table, so that they are deleted with the files they come from.
WITHOUT_TEXTS = RunSQL(
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
)


def delete_text_with(column: str, target: str) -> RunSQL:
    """Delete an explained text with the row of ``target`` that its ``column`` refers to."""
    name = f"inference_explainedtext_{column}"
    return RunSQL(
        f"ALTER TABLE inference_explainedtext ADD CONSTRAINT {name} FOREIGN KEY ({column})"
        f" REFERENCES {target} (id) ON DELETE CASCADE;",
        f"ALTER TABLE inference_explainedtext DROP CONSTRAINT {name};",
    )
