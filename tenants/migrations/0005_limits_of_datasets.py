from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tenants', '0004_files'),
    ]

    operations = [
        migrations.AddField(
            model_name='tenant',
            name='max_places',
            field=models.PositiveBigIntegerField(blank=True, help_text="One that is in several is counted in each. Empty: the installation's limit.", null=True, verbose_name='most files in datasets'),
        ),
        migrations.AddField(
            model_name='tenant',
            name='max_datasets',
            field=models.PositiveBigIntegerField(blank=True, help_text="Empty: the installation's limit.", null=True, verbose_name='most datasets'),
        ),
    ]
