"""Budgets of keys and routes, what was used of them, and calibrations of backends."""

from django.db import migrations, models

FORWARD = """
CREATE TRIGGER raise_revision AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON routing_budget
    FOR EACH STATEMENT EXECUTE FUNCTION routing_raise_revision();

INSERT INTO routing_spend (client_id, route, day, requests, tokens, usd)
SELECT client_id, route, (at AT TIME ZONE 'UTC')::date, count(*),
       sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)), sum(coalesce(cost_usd, 0))
FROM routing_decision
WHERE outcome <> 'open' AND at >= date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
GROUP BY 1, 2, 3;
"""

BACKWARD = "DROP TRIGGER raise_revision ON routing_budget;"


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0010_responses"),
    ]

    operations = [
        migrations.AddField(
            model_name="backend",
            name="calibrations",
            field=models.JSONField(blank=True, default=list),
        ),
        migrations.CreateModel(
            name="Budget",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "scope",
                    models.CharField(
                        choices=[("key", "API key"), ("route", "route")], max_length=5
                    ),
                ),
                ("target", models.CharField(max_length=64)),
                ("requests_per_minute", models.PositiveIntegerField(blank=True, null=True)),
                ("tokens_per_minute", models.PositiveIntegerField(blank=True, null=True)),
                ("requests_day", models.PositiveBigIntegerField(blank=True, null=True)),
                ("requests_month", models.PositiveBigIntegerField(blank=True, null=True)),
                ("tokens_day", models.PositiveBigIntegerField(blank=True, null=True)),
                ("tokens_month", models.PositiveBigIntegerField(blank=True, null=True)),
                (
                    "usd_day",
                    models.DecimalField(blank=True, decimal_places=4, max_digits=14, null=True),
                ),
                (
                    "usd_month",
                    models.DecimalField(blank=True, decimal_places=4, max_digits=14, null=True),
                ),
                ("changed_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "ordering": ("scope", "target"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("scope", "target"), name="one_budget_per_target"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("usd_day__isnull", True), ("usd_day__gte", 0), _connector="OR"
                            ),
                            models.Q(
                                ("usd_month__isnull", True), ("usd_month__gte", 0), _connector="OR"
                            ),
                        ),
                        name="budget_is_not_negative",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Spend",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("client_id", models.CharField(max_length=16)),
                ("route", models.CharField(max_length=64)),
                ("day", models.DateField()),
                ("requests", models.BigIntegerField(default=0)),
                ("tokens", models.BigIntegerField(default=0)),
                ("usd", models.DecimalField(decimal_places=9, default=0, max_digits=20)),
            ],
            options={
                "indexes": [models.Index(fields=["route", "day"], name="spend_by_route")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("client_id", "route", "day"), name="one_spend_per_key_route_and_day"
                    )
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
