from django.db import migrations, transaction

BATCH = 100


def move(apps, schema_editor):
    """Move what passages say out of the explanations that were there before, some at a time.

    They name no dataset. What is of a file that is gone, or in several datasets, is dropped: nobody can tell any more
    with which place it would have to go.
    """
    explanations = apps.get_model("inference", "Explanation").objects
    texts = apps.get_model("inference", "ExplainedText")
    pks = list(explanations.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(pks), BATCH):
        with transaction.atomic():
            rows = [row for row in explanations.select_for_update().filter(pk__in=pks[start : start + BATCH]) if _said(row)]
            places = _places(apps, rows)
            made = []
            for row in rows:
                for position, passage in _said(row):
                    heading, text = passage.pop("heading", ""), passage.pop("text")
                    found = places.get((row.tenant_id, passage.get("file_id")), [])
                    if len(found) == 1:
                        made.append(
                            texts(
                                explanation_id=row.pk, place_id=found[0], position=position,
                                heading=str(heading or "")[:300], text=str(text),
                            )
                        )
            texts.objects.bulk_create(made)
            for row in rows:
                row.save(update_fields=["passages"])


def _said(row):
    """The passages of an explanation that say something, by their positions."""
    passages = row.passages if isinstance(row.passages, list) else []
    return [(at, one) for at, one in enumerate(passages) if isinstance(one, dict) and "text" in one]


def _places(apps, rows):
    """The places of the passages' files, held so that none of them goes away meanwhile."""
    file_ids = {str(one.get("file_id")) for row in rows for _, one in _said(row)}
    places = apps.get_model("files", "DatasetFile").objects.filter(file__in=file_ids).order_by("pk")
    found = {}
    for pk, tenant_id, file_id in places.select_for_update(no_key=True).values_list("pk", "tenant_id", "file_id"):
        found.setdefault((tenant_id, file_id), []).append(pk)
    return found


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('inference', '0010_explained_texts'),
    ]

    operations = [
        migrations.RunPython(move, migrations.RunPython.noop),
    ]
