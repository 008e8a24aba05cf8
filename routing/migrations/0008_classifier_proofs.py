"""Proofs of classifiers on pairs of backends, who retired one, and when a training began."""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION routing_freeze_proof() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a proof is never changed or removed' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER freeze_proof BEFORE UPDATE OR DELETE ON routing_classifierproof
    FOR EACH ROW EXECUTE FUNCTION routing_freeze_proof();
"""

BACKWARD = """
DROP TRIGGER freeze_proof ON routing_classifierproof;
DROP FUNCTION routing_freeze_proof;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0007_replica_refused"),
    ]

    operations = [
        migrations.AddField(
            model_name="classifier",
            name="retired_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="classifier",
            name="retired_by",
            field=models.CharField(blank=True, max_length=150),
        ),
        migrations.AddField(
            model_name="classifier",
            name="retired_why",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="classifiertraining",
            name="started_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name="ClassifierProof",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("digest", models.CharField(max_length=71)),
                ("small", models.CharField(max_length=200)),
                ("large", models.CharField(max_length=200)),
                ("data_digest", models.CharField(max_length=71)),
                ("rows", models.PositiveIntegerField()),
                ("apgr", models.FloatField(null=True)),
                ("low", models.FloatField(null=True)),
                ("high", models.FloatField(null=True)),
                ("metrics", models.JSONField(default=dict)),
                ("recorded_by", models.CharField(max_length=150)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "classifier",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="proofs",
                        to="routing.classifier",
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
            },
        ),
        migrations.AddField(
            model_name="savedexample",
            name="classifier",
            field=models.CharField(blank=True, max_length=80),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
