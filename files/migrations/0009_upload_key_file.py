"""The file of an upload key, which every row has.

The look for empty ones takes no time: rows are of the last day alone, and nobody has ever written one without a file.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files', '0008_stored_file_name'),
    ]

    operations = [
        migrations.AlterField(
            model_name='uploadkey',
            name='file',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='files.file'),
        ),
    ]
