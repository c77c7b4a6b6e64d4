"""Foreign keys of the inference tables that Django cannot declare, as operations of migrations."""

from django.db.migrations.operations.special import RunSQL


def delete_text_with(column: str, target: str) -> RunSQL:
    """Delete an explained text with the row of ``target`` that its ``column`` refers to."""
    name = f"inference_explainedtext_{column}"
    return RunSQL(
        f"ALTER TABLE inference_explainedtext ADD CONSTRAINT {name} FOREIGN KEY ({column})"
        f" REFERENCES {target} (id) ON DELETE CASCADE;",
        f"ALTER TABLE inference_explainedtext DROP CONSTRAINT {name};",
    )
