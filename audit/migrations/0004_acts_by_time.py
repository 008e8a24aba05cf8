"""What people did, newest first: without this the traffic between two acts was read as well."""

from django.db import migrations

FORWARD = """
CREATE INDEX event_of_acts ON audit.event (at DESC, id DESC)
    WHERE substr(id::text, 15, 1) = '7' AND kind <> 'decision.made';
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_job_signs_of_life")]

    operations = [migrations.RunSQL(FORWARD, "DROP INDEX audit.event_of_acts")]
