"""Triggers: changes of the policy are logged, and no grant joins two tenants."""

from django.db import migrations

from tenants.triggers import keep_tenant, log_changes, require_one_tenant


class Migration(migrations.Migration):

    dependencies = [('files', '0001_initial'), ('tenants', '0002_triggers')]

    operations = [
        keep_tenant("files_dataset"),
        log_changes("files_datasetgrant", "k.tenant_id", "JOIN tenants_inferencekey k ON k.id = c.key_id"),
        require_one_tenant(
            "files_datasetgrant",
            "one_tenant",
            "SELECT tenant_id FROM tenants_inferencekey WHERE id = ($1).key_id",
            "SELECT tenant_id FROM files_dataset WHERE id = ($1).dataset_id",
        ),
    ]
