"""Sign-offs with their whole life, sealed secrets, processors, and issued data-flow documents."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION routing_freeze_signoff() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a sign-off is never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.backend_id <> OLD.backend_id OR NEW.data_class <> OLD.data_class
       OR NEW.purpose <> OLD.purpose OR NEW.conditions <> OLD.conditions
       OR NEW.risk_reference <> OLD.risk_reference OR NEW.requested_by_id <> OLD.requested_by_id
       OR NEW.valid_from <> OLD.valid_from OR NEW.valid_to <> OLD.valid_to THEN
        RAISE EXCEPTION 'what a sign-off says does not change after it was asked for'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.state IN ('refused', 'revoked') AND NEW.state <> OLD.state
       OR OLD.state = 'granted' AND NEW.state NOT IN ('granted', 'revoked')
       OR OLD.first_approver_id IS NOT NULL AND NEW.first_approver_id IS DISTINCT FROM OLD.first_approver_id
       OR OLD.second_approver_id IS NOT NULL AND NEW.second_approver_id IS DISTINCT FROM OLD.second_approver_id THEN
        RAISE EXCEPTION 'a sign-off does not go back' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER freeze_signoff BEFORE UPDATE OR DELETE ON routing_signoff
    FOR EACH ROW EXECUTE FUNCTION routing_freeze_signoff();

CREATE FUNCTION routing_freeze_issue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an issued document never changes' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER freeze_issue BEFORE UPDATE OR DELETE ON routing_dataflowissue
    FOR EACH ROW EXECUTE FUNCTION routing_freeze_issue();
"""

BACKWARD = """
DROP TRIGGER freeze_issue ON routing_dataflowissue;
DROP FUNCTION routing_freeze_issue;
DROP TRIGGER freeze_signoff ON routing_signoff;
DROP FUNCTION routing_freeze_signoff;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0002_guards"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="DataFlowIssue",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField(unique=True)),
                ("document", models.JSONField()),
                ("digest", models.CharField(max_length=71)),
                ("note", models.CharField(max_length=500)),
                ("issued_at", models.DateTimeField()),
            ],
            options={
                "ordering": ("-number",),
            },
        ),
        migrations.AddField(
            model_name="backend",
            name="processor",
            field=models.CharField(blank=True, max_length=120),
        ),
        migrations.AddField(
            model_name="backend",
            name="processor_contact",
            field=models.CharField(blank=True, max_length=120),
        ),
        migrations.AddField(
            model_name="backend",
            name="processor_contract",
            field=models.CharField(blank=True, max_length=120),
        ),
        migrations.AddField(
            model_name="backend",
            name="processor_country",
            field=models.CharField(blank=True, max_length=60),
        ),
        migrations.AddField(
            model_name="backend",
            name="processor_retention",
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name="backend",
            name="processor_subprocessors",
            field=models.CharField(blank=True, max_length=300),
        ),
        migrations.AddField(
            model_name="backend",
            name="secret_fingerprint",
            field=models.CharField(blank=True, max_length=16),
        ),
        migrations.AddField(
            model_name="backend",
            name="secret_sealed",
            field=models.BinaryField(null=True),
        ),
        migrations.AddField(
            model_name="backend",
            name="secret_set_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="signoff",
            name="begin_recorded_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="signoff",
            name="end_reason",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="signoff",
            name="ended_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="signoff",
            name="ended_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="signoff",
            name="expiry_recorded_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="signoff",
            name="first_approved_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="signoff",
            name="first_reason",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="signoff",
            name="second_approved_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="signoff",
            name="second_reason",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AlterField(
            model_name="signoff",
            name="state",
            field=models.CharField(
                choices=[
                    ("requested", "requested"),
                    ("granted", "granted"),
                    ("refused", "refused"),
                    ("revoked", "revoked"),
                ],
                default="requested",
                max_length=9,
            ),
        ),
        migrations.AddConstraint(
            model_name="backend",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("secret_ref", ""), ("secret_sealed__isnull", True), _connector="OR"
                ),
                name="backend_has_one_secret",
            ),
        ),
        migrations.AddConstraint(
            model_name="signoff",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state__in", ("refused", "revoked")), _negated=True),
                    models.Q(
                        ("ended_at__isnull", False), models.Q(("end_reason", ""), _negated=True)
                    ),
                    _connector="OR",
                ),
                name="signoff_end_has_a_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="signoff",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "requested")),
                fields=("backend", "data_class", "purpose"),
                name="one_open_request_per_purpose",
            ),
        ),
        migrations.AddField(
            model_name="dataflowissue",
            name="issued_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="dataflowissue",
            constraint=models.CheckConstraint(
                condition=models.Q(("note", ""), _negated=True), name="issue_has_a_note"
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
