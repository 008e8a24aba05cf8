from django.db import migrations, models


class Migration(migrations.Migration):
    """Every page counts the open cases, so they have an index of their own."""

    dependencies = [("review", "0001_initial")]

    operations = [
        migrations.AddIndex(
            model_name="case",
            index=models.Index(
                condition=models.Q(
                    ("state__in", ("awaiting_second", "claimed", "pending", "replaying"))
                ),
                fields=["priority", "due_at", "id"],
                name="case_open",
            ),
        ),
    ]
