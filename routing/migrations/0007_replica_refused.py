from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("routing", "0003_classifiers")]

    operations = [
        migrations.AddField(
            "replica", "refused", models.TextField(blank=True, default="", db_default="")
        ),
    ]
