"""When a dataset was last used, and after how long a time without use it expires.

Of datasets that are there nobody knows it: they are added empty, and get it when they are used next.
"""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files', '0017_file_expiry_index'),
    ]

    operations = [
        migrations.AddField(
            model_name='dataset',
            name='expires_after',
            field=models.DurationField(editable=False, help_text='Empty: never.', null=True),
        ),
        migrations.AddField(
            model_name='dataset',
            name='last_active_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name='last used'),
        ),
        migrations.AlterField(
            model_name='dataset',
            name='last_active_at',
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False, null=True, verbose_name='last used'),
        ),
        migrations.AlterField(
            model_name='dataset',
            name='by_client',
            field=models.BooleanField(db_default=False, default=False, help_text='Clear it to take the dataset over: apply may then change it, clients may not rename it, and it does not expire.', verbose_name='made by a client'),
        ),
    ]
