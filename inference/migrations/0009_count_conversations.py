from django.db import migrations, transaction


def count(apps, schema_editor):
    """Count what the threads hold that were there before: one at a time, each under its lock, for a short while."""
    conversations = apps.get_model("inference", "Conversation").objects
    for pk in list(conversations.values_list("pk", flat=True)):
        with transaction.atomic(), schema_editor.connection.cursor() as cursor:
            conversations.select_for_update().filter(pk=pk).first()
            cursor.execute(
                "UPDATE inference_conversation SET (bytes, item_count) = ("
                " SELECT coalesce(sum(octet_length(i.message::text)), 0), count(*)"
                " FROM inference_item i JOIN inference_turn t ON t.id = i.turn_id WHERE t.conversation_id = %s"
                ") WHERE id = %s",
                [pk, pk],
            )


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('inference', '0008_conversation_size'),
    ]

    operations = [
        migrations.RunPython(count, migrations.RunPython.noop),
    ]
