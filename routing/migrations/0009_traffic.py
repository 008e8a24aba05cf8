"""The decision list in months, and the counts of it that screens read: SQL beside this file.

Reversible: the list is written back into one table and the counts go; both are derived.
"""

from pathlib import Path

import django.contrib.postgres.fields
from django.db import migrations, models

SQL = Path(__file__).with_name("sql")


class Migration(migrations.Migration):
    dependencies = [("routing", "0008_classifier_proofs"), ("audit", "0001_ledger")]

    operations = [
        migrations.CreateModel(
            name="Speed",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "span",
                        "slot",
                        "route",
                        "backend",
                        "measure",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "span",
                    models.PositiveSmallIntegerField(
                        choices=[(5, "five minutes"), (60, "hour"), (1440, "day")]
                    ),
                ),
                ("slot", models.DateTimeField()),
                ("route", models.CharField(max_length=64)),
                ("backend", models.CharField(blank=True, max_length=64)),
                (
                    "measure",
                    models.CharField(
                        choices=[
                            ("total_ms", "to the end of the answer"),
                            ("first_token_ms", "to the first token"),
                            ("overhead_us", "the router itself"),
                        ],
                        max_length=14,
                    ),
                ),
                (
                    "counts",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.IntegerField(), size=None
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Traffic",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "span",
                        "slot",
                        "key",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "span",
                    models.PositiveSmallIntegerField(
                        choices=[(5, "five minutes"), (60, "hour"), (1440, "day")]
                    ),
                ),
                ("slot", models.DateTimeField()),
                ("key", models.UUIDField()),
                ("route", models.CharField(max_length=64)),
                ("policy", models.CharField(max_length=80)),
                ("rule", models.CharField(max_length=64)),
                ("cause", models.CharField(max_length=32)),
                ("action", models.CharField(max_length=12)),
                ("outcome", models.CharField(max_length=16)),
                ("tier", models.CharField(blank=True, max_length=3)),
                ("backend", models.CharField(blank=True, max_length=64)),
                ("boundary", models.CharField(blank=True, max_length=8)),
                ("data_class", models.CharField(max_length=20)),
                ("n", models.BigIntegerField()),
                ("attempts", models.BigIntegerField()),
                ("input_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("cost_usd", models.DecimalField(decimal_places=9, max_digits=20)),
                ("compared_cost_usd", models.DecimalField(decimal_places=9, max_digits=20)),
                ("baseline_cost_usd", models.DecimalField(decimal_places=9, max_digits=20)),
                ("last_at", models.DateTimeField()),
            ],
        ),
        migrations.RunSQL(
            sql=(SQL / "traffic.sql").read_text(encoding="utf-8"),
            reverse_sql=(SQL / "traffic_undo.sql").read_text(encoding="utf-8"),
            state_operations=[
                migrations.AddIndex(
                    model_name="decision",
                    index=models.Index(fields=["backend", "-id"], name="decision_by_backend"),
                ),
                migrations.AddIndex(
                    model_name="decision",
                    index=models.Index(
                        condition=models.Q(("session", ""), _negated=True),
                        fields=["session", "-id"],
                        name="decision_by_session",
                    ),
                ),
                migrations.AddIndex(
                    model_name="decision",
                    index=models.Index(
                        condition=models.Q(("outcome__in", ("served", "open")), _negated=True),
                        fields=["outcome", "-id"],
                        name="decision_by_outcome",
                    ),
                ),
                migrations.AddIndex(
                    model_name="decision",
                    index=models.Index(
                        condition=models.Q(("cause", "rule_match"), _negated=True),
                        fields=["cause", "-id"],
                        name="decision_by_cause",
                    ),
                ),
                migrations.AddIndex(
                    model_name="decision",
                    index=models.Index(
                        condition=models.Q(("error_code", ""), _negated=True),
                        fields=["backend", "-id"],
                        name="decision_with_error",
                    ),
                ),
            ],
        ),
    ]
