"""Triggers: changes of the policy are logged, versions stay as they are, and nothing joins two tenants."""

from django.db import migrations

from tenants.triggers import keep_tenant, log_changes, refuse_update, require_one_tenant


class Migration(migrations.Migration):

    dependencies = [('inference', '0001_initial'), ('files', '0002_triggers'), ('tenants', '0002_triggers')]

    operations = [
        log_changes("inference_provider"),
        log_changes("inference_inferencetarget"),
        log_changes("inference_catalogentry", "t.tenant_id", "JOIN inference_inferencetarget t ON t.id = c.inferencetarget_ptr_id"),
        log_changes("inference_agent", "t.tenant_id", "JOIN inference_inferencetarget t ON t.id = c.inferencetarget_ptr_id"),
        log_changes("inference_grant", "k.tenant_id", "JOIN tenants_inferencekey k ON k.id = c.key_id"),
        keep_tenant("inference_provider"),
        keep_tenant("inference_inferencetarget"),
        refuse_update(
            "inference_agentversion",
            "is_immutable",
            # All that may change is that the catalog entry goes away.
            "(to_jsonb(OLD) - 'catalog_id') IS DISTINCT FROM (to_jsonb(NEW) - 'catalog_id')"
            " OR (NEW.catalog_id IS NOT NULL AND NEW.catalog_id IS DISTINCT FROM OLD.catalog_id)",
            "a published version cannot be changed",
        ),
        require_one_tenant(
            "inference_grant",
            "one_tenant",
            "SELECT tenant_id FROM tenants_inferencekey WHERE id = ($1).key_id",
            "SELECT tenant_id FROM inference_inferencetarget WHERE id = ($1).target_id",
        ),
        require_one_tenant(
            "inference_catalogentry",
            "one_tenant",
            "SELECT tenant_id FROM inference_inferencetarget WHERE id = ($1).inferencetarget_ptr_id",
            "SELECT tenant_id FROM inference_provider WHERE id = ($1).provider_id",
        ),
        require_one_tenant(
            "inference_agent",
            "one_tenant",
            "SELECT tenant_id FROM inference_inferencetarget WHERE id = ($1).inferencetarget_ptr_id",
            "SELECT tenant_id FROM inference_inferencetarget WHERE id = ($1).catalog_id",
        ),
        require_one_tenant(
            "inference_agent_datasets",
            "one_tenant",
            "SELECT tenant_id FROM inference_inferencetarget WHERE id = ($1).agent_id",
            "SELECT tenant_id FROM files_dataset WHERE id = ($1).dataset_id",
        ),
    ]
