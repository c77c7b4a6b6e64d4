from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('files', '0018_dataset_expiry'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='dataset',
            index=models.Index(condition=models.Q(('expires_after__isnull', False)), fields=['id'], name='files_dataset_expiring'),
        ),
    ]
