"""Triggers: changes of the policy are logged, and a revocation is final."""

from django.db import migrations

from tenants.triggers import FUNCTIONS, keep_tenant, log_changes, refuse_update


class Migration(migrations.Migration):

    dependencies = [('tenants', '0001_initial')]

    operations = [
        FUNCTIONS,
        log_changes("tenants_tenant", "c.id"),
        log_changes("tenants_inferencekey"),
        keep_tenant("tenants_inferencekey"),
        refuse_update(
            "tenants_inferencekey",
            "revocation_is_final",
            "OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at",
            "a revocation is final",
        ),
    ]
