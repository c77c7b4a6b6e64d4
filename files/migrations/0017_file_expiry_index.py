from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('files', '0016_file_expiry'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='file',
            index=models.Index(condition=models.Q(('expires_at__isnull', False)), fields=['expires_at'], name='files_file_expires'),
        ),
    ]
