"""Printers' quotation marks and dashes part words in any locale, and an index that says which file a chunk is of.

The column of words is made anew: a generated one cannot be altered.
"""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import migrations, models

PRINTED = (
    "\u2018\u2019\u201a\u201b\u2010\u2011\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a\u2026\u2013\u2014\u2022\u00b7\u00a0\u202f"
    "\u3000\u3001\u3002\uff0c\uff1a\uff1b\uff01\uff1f\uff08\uff09"
)
PLAIN = "''''--" + '"' * 5 + " " * (len(PRINTED) - 11)


def plain(name: str) -> models.Func:
    return models.Func(
        models.F(name), models.Value(PRINTED), models.Value(PLAIN),
        function="translate", output_field=models.TextField(),
    )


class Migration(migrations.Migration):

    dependencies = [('files', '0004_one_tenant')]

    operations = [
        migrations.RemoveIndex(model_name='chunk', name='files_chunk_words'),
        migrations.RemoveIndex(model_name='chunk', name='files_chunk_dataset'),
        migrations.RemoveField(model_name='chunk', name='words'),
        migrations.AddField(
            model_name='chunk',
            name='words',
            field=models.GeneratedField(
                db_persist=True,
                expression=SearchVector(plain("heading"), plain("text"), config="english"),
                output_field=SearchVectorField(),
            ),
        ),
        migrations.AddIndex(
            model_name='chunk', index=GinIndex(fields=['words'], name='files_chunk_words')
        ),
        migrations.AddIndex(
            model_name='chunk',
            index=models.Index(fields=['tenant', 'dataset', 'place', 'id'], name='files_chunk_dataset'),
        ),
    ]
