"""Responses in the background, and repeats of a held request as one case."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0009_traffic"),
    ]

    operations = [
        migrations.CreateModel(
            name="StoredResponse",
            fields=[
                ("decision_id", models.UUIDField(primary_key=True, serialize=False)),
                ("client_id", models.CharField(max_length=16)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("in_progress", "in progress"),
                            ("held", "waits for a person"),
                            ("completed", "completed"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                        ],
                        default="in_progress",
                        max_length=11,
                    ),
                ),
                ("payload", models.UUIDField()),
                ("held_by", models.UUIDField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.RemoveIndex(
            model_name="hold",
            name="hold_repeats",
        ),
        migrations.AddField(
            model_name="hold",
            name="client_id",
            field=models.CharField(default="", max_length=16),
        ),
        migrations.AddField(
            model_name="hold",
            name="repeats_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddConstraint(
            model_name="hold",
            constraint=models.UniqueConstraint(
                condition=models.Q(("repeats_until__isnull", False)),
                fields=("dedupe_key",),
                name="hold_repeats_once",
            ),
        ),
        migrations.AddIndex(
            model_name="storedresponse",
            index=models.Index(fields=["expires_at"], name="response_expires"),
        ),
    ]
