"""Database triggers and composite foreign keys of the files tables, as operations of migrations."""

from django.db.migrations.operations.special import RunSQL

from tenants.triggers import require_one_tenant

#: Record the storage path of each deleted file as an ``OrphanedBlob``, for the cleanup to delete its bytes.
RECORD_ORPHANED_BLOB = RunSQL(
    """
    CREATE FUNCTION files_record_orphaned_blob() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO files_orphanedblob (path) SELECT path FROM deleted ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$;

    CREATE TRIGGER files_record_orphaned_blob AFTER DELETE ON files_file
        REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION files_record_orphaned_blob();
    """,
    """
    DROP TRIGGER files_record_orphaned_blob ON files_file;
    DROP FUNCTION files_record_orphaned_blob();
    """,
)

#: Apply a change of a tenant's embedding to the hidden datasets of its conversations, charged to no key.
FOLLOW_EMBEDDING = RunSQL(
    """
    CREATE FUNCTION files_follow_embedding() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE files_dataset SET embedding = NEW.embedding, embedding_requested_by_id = NULL
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
)


def refer_within_tenant(
    table: str, columns: str, target: str, target_columns: str, on_delete: str = ""
) -> RunSQL:
    """Add a foreign key from ``table`` to ``target`` that includes the tenant, so that both rows share it."""
    name = f"{table}_{columns.partition('_')[0]}_tenant"
    return RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({columns})"
        f" REFERENCES {target} ({target_columns}) {on_delete} DEFERRABLE INITIALLY DEFERRED;",
        f"ALTER TABLE {table} DROP CONSTRAINT {name};",
    )


def require_key_of_tenant(table: str, column: str) -> RunSQL:
    """Refuse a key of another tenant in ``column``; updates of other columns are not checked."""
    return require_one_tenant(
        table,
        f"{column}_tenant",
        "SELECT ($1).tenant_id",
        f"SELECT COALESCE((SELECT tenant_id FROM tenants_inferencekey WHERE id = ($1).{column}_id),"  # noqa: S608
        " ($1).tenant_id)",
        f"{column}_id",
    )
