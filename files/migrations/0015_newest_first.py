from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('files', '0014_hidden_datasets_now'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='file',
            index=models.Index(fields=['-created_at', '-id'], name='files_file_newest'),
        ),
        AddIndexConcurrently(
            model_name='datasetfile',
            index=models.Index(fields=['-created_at', '-id'], name='files_place_newest'),
        ),
        AddIndexConcurrently(
            model_name='datasetfile',
            index=models.Index(
                fields=['ended_at', 'tenant'], condition=models.Q(state='failed'), name='files_place_failed'
            ),
        ),
    ]
