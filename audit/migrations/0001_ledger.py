"""The schema ``audit``: tables, roles and guards are SQL, in the file beside this one.

Reversible while the ledger is empty. Afterwards it refuses: a trail that a migration can remove
proves nothing. The models are unmanaged, so they need no operation here beyond the state.
"""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_name("sql")


class Migration(migrations.Migration):
    initial = True
    dependencies = []

    operations = [
        migrations.RunSQL(
            sql=(SQL / "ledger.sql").read_text(encoding="utf-8"),
            reverse_sql=(SQL / "ledger_undo.sql").read_text(encoding="utf-8"),
        ),
    ]
