from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('files', '0015_newest_first'),
    ]

    operations = [
        migrations.AddField(
            model_name='file',
            name='expires_at',
            field=models.DateTimeField(editable=False, help_text='Empty: never.', null=True),
        ),
    ]
