"""pgvector, and foreign keys that carry the tenant: no row of the files' tables joins two of them."""

from django.db import migrations

from tenants.triggers import keep_tenant, require_one_tenant


def composite(table: str, columns: str, target: str, target_columns: str, on_delete: str) -> migrations.RunSQL:
    """Refer from ``table`` to ``target`` by id and tenant together."""
    name = f"{table}_{columns.partition('_')[0]}_tenant"
    return migrations.RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({columns})"
        f" REFERENCES {target} ({target_columns}) {on_delete} DEFERRABLE INITIALLY DEFERRED;",
        f"ALTER TABLE {table} DROP CONSTRAINT {name};",
    )


class Migration(migrations.Migration):

    dependencies = [('files', '0003_files')]

    operations = [
        # Rows that were there before: they hold no files yet, so there is nothing to index.
        migrations.RunSQL("UPDATE files_dataset SET indexed_embedding = embedding", migrations.RunSQL.noop),
        keep_tenant("files_file"),
        keep_tenant("files_datasetfile"),
        composite("files_filebatch", "dataset_id, tenant_id", "files_dataset", "id, tenant_id", ""),
        composite("files_datasetfile", "dataset_id, tenant_id", "files_dataset", "id, tenant_id", ""),
        composite("files_datasetfile", "file_id, tenant_id", "files_file", "id, tenant_id", ""),
        composite(
            "files_chunk", "place_id, tenant_id, dataset_id", "files_datasetfile", "id, tenant_id, dataset_id",
            "ON DELETE CASCADE",
        ),
        composite(
            "files_chunkvector", "chunk_id, tenant_id, dataset_id", "files_chunk", "id, tenant_id, dataset_id",
            "ON DELETE CASCADE",
        ),
        require_one_tenant(
            "files_file",
            "one_tenant",
            "SELECT ($1).tenant_id",
            "SELECT COALESCE((SELECT tenant_id FROM tenants_inferencekey WHERE id = ($1).key_id), ($1).tenant_id)",
        ),
    ]
