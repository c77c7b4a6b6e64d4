from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files', '0023_signs_of_chunks'),
    ]

    operations = [
        migrations.AddField(
            model_name='datasetfile',
            name='letters',
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
    ]
