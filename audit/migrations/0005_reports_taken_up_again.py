"""How often a report was begun, the auditor's seed, and one report a month by the schedule."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_acts_by_time")]

    operations = [
        migrations.AddField("report", "tries", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("report", "seed", models.CharField(blank=True, max_length=64)),
        migrations.AddField("report", "is_scheduled", models.BooleanField(default=False)),
        migrations.AddConstraint(
            "report",
            models.UniqueConstraint(
                fields=["period_from", "period_to"],
                condition=models.Q(is_scheduled=True)
                & ~models.Q(state__in=["failed", "cancelled"]),
                name="report_scheduled_once",
            ),
        ),
    ]
