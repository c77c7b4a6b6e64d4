from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('inference', '0011_move_explained_texts'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='conversation',
            index=models.Index(fields=['-created_at', '-id'], name='inference_conversation_newest'),
        ),
        AddIndexConcurrently(
            model_name='explanation',
            index=models.Index(fields=['-created_at', '-id'], name='inference_explanation_newest'),
        ),
    ]
