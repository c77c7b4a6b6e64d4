"""A conversation's files are of its own tenant."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [('inference', '0004_answers_from_data'), ('files', '0004_one_tenant')]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE inference_conversation ADD CONSTRAINT inference_conversation_dataset_tenant"
            " FOREIGN KEY (dataset_id, tenant_id) REFERENCES files_dataset (id, tenant_id)"
            " DEFERRABLE INITIALLY DEFERRED;",
            "ALTER TABLE inference_conversation DROP CONSTRAINT inference_conversation_dataset_tenant;",
        ),
    ]
