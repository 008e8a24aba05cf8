"""Promotions, waivers and rollouts, and the rules of them that the database itself holds."""

from pathlib import Path

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import routing.models.promotion

_SQL = Path(__file__).parent / "sql"


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0014_webhooks"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="route",
            name="gate",
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.CreateModel(
            name="Promotion",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=routing.models.promotion._new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("proposed", "waiting for approval"),
                            ("approved", "approved"),
                            ("promoted", "promoted"),
                            ("withdrawn", "withdrawn"),
                        ],
                        default="proposed",
                        max_length=9,
                    ),
                ),
                ("shadow_run", models.UUIDField(null=True)),
                ("evidence", models.TextField()),
                ("evidence_digest", models.CharField(max_length=71)),
                ("approvals_needed", models.PositiveSmallIntegerField(default=1)),
                ("reasons", models.JSONField(default=list)),
                ("proposed_at", models.DateTimeField(auto_now_add=True)),
                ("why", models.CharField(max_length=500)),
                ("promoted_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_why", models.CharField(blank=True, max_length=500)),
                (
                    "incumbent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="routing.policyversion",
                    ),
                ),
                (
                    "promoted_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "proposed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="promotions",
                        to="routing.policyversion",
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="PromotionApproval",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("evidence_digest", models.CharField(max_length=71)),
                ("comment", models.CharField(max_length=500)),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "promotion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="approvals",
                        to="routing.promotion",
                    ),
                ),
            ],
            options={
                "ordering": ("at",),
            },
        ),
        migrations.CreateModel(
            name="Rollout",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=routing.models.promotion._new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("attempt", models.PositiveSmallIntegerField()),
                ("salt", models.CharField(max_length=64)),
                ("steps", models.JSONField()),
                ("step", models.PositiveSmallIntegerField(default=0)),
                ("share", models.PositiveSmallIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "running"),
                            ("baking", "all traffic, still watched"),
                            ("done", "done"),
                            ("aborted", "aborted"),
                        ],
                        default="running",
                        max_length=8,
                    ),
                ),
                ("projected_usd", models.DecimalField(decimal_places=9, max_digits=16, null=True)),
                ("started_at", models.DateTimeField()),
                ("step_at", models.DateTimeField()),
                ("counted_at_start", models.JSONField(default=dict)),
                ("counted_at_step", models.JSONField(default=dict)),
                ("followed_to", models.UUIDField(null=True)),
                ("guards", models.JSONField(default=list)),
                ("seen", models.JSONField(default=dict)),
                ("watched_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_why", models.CharField(blank=True, max_length=500)),
                (
                    "baseline",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="routing.policyversion",
                    ),
                ),
                (
                    "promotion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rollouts",
                        to="routing.promotion",
                    ),
                ),
                (
                    "route",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rollouts",
                        to="routing.route",
                    ),
                ),
                (
                    "started_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="routing.policyversion",
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="Incident",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("guard", models.CharField(max_length=20)),
                ("sentence", models.CharField(max_length=500)),
                ("figures", models.JSONField(default=dict)),
                ("at", models.DateTimeField()),
                ("noted_at", models.DateTimeField(null=True)),
                ("note", models.CharField(blank=True, max_length=500)),
                (
                    "noted_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "rollout",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="incidents",
                        to="routing.rollout",
                    ),
                ),
            ],
            options={
                "ordering": ("-at",),
            },
        ),
        migrations.CreateModel(
            name="RolloutUnit",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "rollout_id",
                        "step",
                        "unit",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("step", models.PositiveSmallIntegerField()),
                ("unit", models.CharField(max_length=64)),
                ("treated", models.BooleanField()),
                (
                    "rollout",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="routing.rollout",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Waiver",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("check_name", models.CharField(max_length=20)),
                ("reason", models.CharField(max_length=500)),
                ("at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField()),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="waivers",
                        to="routing.policyversion",
                    ),
                ),
            ],
            options={
                "ordering": ("-at",),
            },
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ("proposed", "approved"))),
                fields=("version",),
                name="one_open_promotion_per_version",
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=models.Q(("approvals_needed__gte", 1), ("approvals_needed__lte", 2)),
                name="one_or_two_approvals_promote",
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("promoted_at__isnull", False),
                        ("promoted_by__isnull", False),
                        ("state", "promoted"),
                    ),
                    models.Q(
                        models.Q(("state", "promoted"), _negated=True),
                        ("promoted_at__isnull", True),
                        ("promoted_by__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="a_promotion_says_by_whom",
            ),
        ),
        migrations.AddConstraint(
            model_name="promotionapproval",
            constraint=models.UniqueConstraint(
                fields=("promotion", "by"), name="one_approval_per_person"
            ),
        ),
        migrations.AddConstraint(
            model_name="promotionapproval",
            constraint=models.CheckConstraint(
                condition=models.Q(("comment", ""), _negated=True),
                name="promotion_approval_says_why",
            ),
        ),
        migrations.AddConstraint(
            model_name="rollout",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ("running", "baking"))),
                fields=("route",),
                name="one_live_rollout_per_route",
            ),
        ),
        migrations.AddConstraint(
            model_name="rollout",
            constraint=models.UniqueConstraint(
                fields=("promotion", "attempt"), name="attempts_are_numbered"
            ),
        ),
        migrations.AddConstraint(
            model_name="rollout",
            constraint=models.UniqueConstraint(fields=("salt",), name="a_salt_is_used_once"),
        ),
        migrations.AddConstraint(
            model_name="rollout",
            constraint=models.CheckConstraint(
                condition=models.Q(("share__gte", 1), ("share__lte", 100)),
                name="rollout_share_is_a_percentage",
            ),
        ),
        migrations.AddConstraint(
            model_name="rollout",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ("running", "baking")),
                    ("ended_at__isnull", False),
                    _connector="OR",
                ),
                name="an_ended_rollout_says_when",
            ),
        ),
        migrations.AddConstraint(
            model_name="waiver",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason", ""), _negated=True), name="waiver_has_a_reason"
            ),
        ),
        migrations.AddConstraint(
            model_name="waiver",
            constraint=models.CheckConstraint(
                condition=models.Q(("expires_at__gt", models.F("at"))), name="waiver_expires_later"
            ),
        ),
        migrations.AddConstraint(
            model_name="waiver",
            constraint=models.CheckConstraint(
                condition=models.Q(("check_name", "boundary"), _negated=True),
                name="nobody_waives_the_boundary",
            ),
        ),
        migrations.RunSQL(
            (_SQL / "promotion.sql").read_text(), (_SQL / "promotion_undo.sql").read_text()
        ),
    ]
