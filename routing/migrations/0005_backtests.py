"""Backtests of versions over recorded decisions, and the requests that a route keeps to try."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import routing.models.backtests


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0006_signoffs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Backtest",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=routing.models.backtests._new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("digest", models.CharField(max_length=71)),
                ("registry_digest", models.CharField(max_length=71)),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("sample", models.PositiveIntegerField(null=True)),
                ("in_window", models.PositiveIntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "waiting to start"),
                            ("running", "running"),
                            ("done", "done"),
                            ("cancelled", "cancelled"),
                            ("failed", "failed"),
                        ],
                        default="queued",
                        max_length=9,
                    ),
                ),
                ("done", models.PositiveIntegerField(default=0)),
                ("total", models.PositiveIntegerField(default=0)),
                ("counts", models.JSONField(default=dict)),
                ("result", models.JSONField(default=dict)),
                ("problem", models.CharField(blank=True, max_length=300)),
                ("requested_by", models.CharField(max_length=150)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("seen_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("acknowledged_at", models.DateTimeField(null=True)),
                ("acknowledged_why", models.CharField(blank=True, max_length=500)),
                (
                    "acknowledged_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="backtests",
                        to="routing.policyversion",
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="BacktestChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("decision_id", models.UUIDField()),
                ("bucket", models.CharField(max_length=24)),
                ("weight", models.PositiveSmallIntegerField()),
                ("data_class", models.CharField(max_length=20)),
                ("before", models.CharField(max_length=100)),
                ("after", models.CharField(max_length=100)),
                ("rule_before", models.CharField(max_length=64)),
                ("rule_after", models.CharField(max_length=64)),
                ("note", models.CharField(blank=True, max_length=200)),
                ("guardrails", models.JSONField(default=list)),
                (
                    "backtest",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="changes",
                        to="routing.backtest",
                    ),
                ),
            ],
            options={
                "ordering": ("-weight", "-decision_id"),
            },
        ),
        migrations.CreateModel(
            name="SavedExample",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=80)),
                ("is_invented", models.BooleanField(default=False)),
                ("prompt", models.TextField(blank=True)),
                ("request", models.JSONField(default=dict)),
                ("signals", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "author",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "route",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="examples",
                        to="routing.route",
                    ),
                ),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.AddConstraint(
            model_name="backtest",
            constraint=models.CheckConstraint(
                condition=models.Q(("since__lt", models.F("until"))), name="window_is_one"
            ),
        ),
        migrations.AddIndex(
            model_name="backtestchange",
            index=models.Index(
                fields=["backtest", "bucket", "-weight", "-decision_id"], name="backtest_bucket"
            ),
        ),
        migrations.AddConstraint(
            model_name="backtestchange",
            constraint=models.UniqueConstraint(
                fields=("backtest", "decision_id"), name="one_bucket_per_decision"
            ),
        ),
        migrations.AddConstraint(
            model_name="savedexample",
            constraint=models.UniqueConstraint(
                fields=("route", "name"), name="one_example_of_a_name"
            ),
        ),
        migrations.AddConstraint(
            model_name="savedexample",
            constraint=models.CheckConstraint(
                condition=models.Q(("is_invented", True), ("prompt", ""), _connector="OR"),
                name="only_an_invented_text_is_kept",
            ),
        ),
    ]
