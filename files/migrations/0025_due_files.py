from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Coalesce, Greatest


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('files', '0024_letters_of_files'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='datasetfile',
            index=models.Index(models.F('letters'), models.F('tenant'), Coalesce(Greatest('retry_at', 'lease_until'), 'created_at'), models.F('id'), condition=models.Q(('state__in', ['uploaded', 'processing'])), name='files_place_due'),
        ),
        RemoveIndexConcurrently(model_name='datasetfile', name='files_place_waiting'),
    ]
