"""Speeds are kept in sums too, so that a screen over all routes reads one row a slot."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("sql")


class Migration(migrations.Migration):
    dependencies = [("routing", "0012_saved_filters")]

    # Going back to 0009 undoes the function with all else; its counts are made again from the list.
    operations = [
        migrations.RunSQL(
            (SQL / "speed_sums.sql").read_text(encoding="utf-8"), migrations.RunSQL.noop
        )
    ]
