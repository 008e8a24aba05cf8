"""Two approvers, rebase and schedule; the states and their order, held by the database itself."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q

FREEZE_NOW = """
CREATE OR REPLACE FUNCTION routing_freeze_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    approvals integer;
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a policy version is never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.state <> 'draft' AND (
        NEW.document IS DISTINCT FROM OLD.document OR NEW.digest <> OLD.digest
        OR NEW.author_id <> OLD.author_id OR NEW.number <> OLD.number OR NEW.route_id <> OLD.route_id
        OR NEW.base_id IS DISTINCT FROM OLD.base_id OR NEW.summary <> OLD.summary
        OR NEW.approvals_needed <> OLD.approvals_needed OR NEW.state = 'draft'
        OR NEW.approval_reasons IS DISTINCT FROM OLD.approval_reasons
        OR NEW.conflicts IS DISTINCT FROM OLD.conflicts
        OR NEW.rebased_from_id IS DISTINCT FROM OLD.rebased_from_id
        OR NEW.submitted_at IS DISTINCT FROM OLD.submitted_at
    ) THEN
        RAISE EXCEPTION 'a submitted policy version does not change'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state = OLD.state THEN
        IF NEW.scheduled_for IS DISTINCT FROM OLD.scheduled_for
           OR NEW.scheduled_by_id IS DISTINCT FROM OLD.scheduled_by_id
           OR NEW.approved_at IS DISTINCT FROM OLD.approved_at
           OR NEW.activated_at IS DISTINCT FROM OLD.activated_at
           OR NEW.activated_by_id IS DISTINCT FROM OLD.activated_by_id
           OR NEW.retired_at IS DISTINCT FROM OLD.retired_at THEN
            RAISE EXCEPTION 'the times of a policy version change with its state only'
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NOT (OLD.state || '>' || NEW.state) = ANY (ARRAY[
        'draft>in_review', 'draft>withdrawn',
        'in_review>approved', 'in_review>rejected', 'in_review>withdrawn',
        'approved>scheduled', 'approved>active', 'approved>withdrawn',
        'scheduled>approved', 'scheduled>active', 'scheduled>withdrawn',
        'active>retired', 'active>rolled_back',
        'retired>active', 'rolled_back>active'
    ]) THEN
        RAISE EXCEPTION 'a policy version does not go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state = 'approved' AND OLD.state = 'in_review' THEN
        SELECT count(DISTINCT by_id) INTO approvals FROM routing_policyapproval
            WHERE version_id = NEW.id AND verdict = 'approve' AND digest = NEW.digest
              AND by_id <> NEW.author_id;
        IF approvals < NEW.approvals_needed THEN
            RAISE EXCEPTION 'a policy version needs % approvals and has %',
                NEW.approvals_needed, approvals USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION routing_refuse_own_approval() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    judged routing_policyversion%ROWTYPE;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION 'a verdict is never changed' USING ERRCODE = 'restrict_violation';
    END IF;
    SELECT * INTO judged FROM routing_policyversion WHERE id = NEW.version_id;
    IF NEW.verdict = 'approve' AND NEW.by_id = judged.author_id THEN
        RAISE EXCEPTION 'the author of a version may not approve it' USING ERRCODE = 'check_violation';
    END IF;
    IF judged.state <> 'in_review' OR NEW.digest <> judged.digest THEN
        RAISE EXCEPTION 'a verdict stands for the digest of a version in review'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

DROP TRIGGER refuse_own_approval ON routing_policyapproval;
CREATE TRIGGER refuse_own_approval BEFORE INSERT OR UPDATE OR DELETE ON routing_policyapproval
    FOR EACH ROW EXECUTE FUNCTION routing_refuse_own_approval();
"""

FREEZE_BEFORE = """
CREATE OR REPLACE FUNCTION routing_freeze_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a policy version is never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.state <> 'draft' AND (
        NEW.document IS DISTINCT FROM OLD.document OR NEW.digest <> OLD.digest
        OR NEW.author_id <> OLD.author_id OR NEW.number <> OLD.number OR NEW.route_id <> OLD.route_id
        OR NEW.base_id IS DISTINCT FROM OLD.base_id OR NEW.summary <> OLD.summary
        OR NEW.approvals_needed <> OLD.approvals_needed OR NEW.state = 'draft'
    ) THEN
        RAISE EXCEPTION 'a submitted policy version does not change'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION routing_refuse_own_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.verdict = 'approve'
       AND NEW.by_id = (SELECT author_id FROM routing_policyversion WHERE id = NEW.version_id) THEN
        RAISE EXCEPTION 'the author of a version may not approve it' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

DROP TRIGGER refuse_own_approval ON routing_policyapproval;
CREATE TRIGGER refuse_own_approval BEFORE INSERT OR UPDATE ON routing_policyapproval
    FOR EACH ROW EXECUTE FUNCTION routing_refuse_own_approval();
"""

CHECKS = (
    ("one_or_two_approvers", Q(approvals_needed__gte=1, approvals_needed__lte=2)),
    (
        "only_a_scheduled_version_has_a_time",
        Q(state="scheduled", scheduled_for__isnull=False, scheduled_by__isnull=False)
        | (~Q(state="scheduled") & Q(scheduled_for__isnull=True)),
    ),
    (
        "a_judged_version_was_submitted",
        ~Q(state__in=("in_review", "rejected")) | Q(submitted_at__isnull=False),
    ),
    (
        "an_approved_version_says_when",
        ~Q(state__in=("approved", "scheduled")) | Q(approved_at__isnull=False),
    ),
    (
        "an_active_version_says_since_when",
        ~Q(state__in=("active", "retired", "rolled_back"))
        | Q(activated_at__isnull=False, activated_by__isnull=False),
    ),
    (
        "a_retired_version_says_when",
        ~Q(state__in=("retired", "rolled_back")) | Q(retired_at__isnull=False),
    ),
    (
        "what_ended_early_was_never_active",
        ~Q(state__in=("draft", "in_review", "rejected", "withdrawn"))
        | Q(activated_at__isnull=True),
    ),
    (
        "conflicts_are_settled_before_submission",
        Q(state__in=("draft", "withdrawn")) | Q(conflicts=[]),
    ),
)


def _field(name, field):
    return migrations.AddField(model_name="policyversion", name=name, field=field)


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0005_backtests"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        _field("approval_reasons", models.JSONField(default=list)),
        _field(
            "rebased_from",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="rebased_as",
                to="routing.policyversion",
            ),
        ),
        _field("conflicts", models.JSONField(default=list)),
        _field(
            "scheduled_by",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        _field("schedule_reason", models.CharField(blank=True, default="", max_length=500)),
        _field("suspended_at", models.DateTimeField(null=True)),
        _field("suspended_why", models.CharField(blank=True, default="", max_length=400)),
        migrations.AlterField(
            "policyversion", "schedule_reason", models.CharField(blank=True, max_length=500)
        ),
        migrations.AlterField(
            "policyversion", "suspended_why", models.CharField(blank=True, max_length=400)
        ),
        *(
            migrations.AddConstraint(
                model_name="policyversion",
                constraint=models.CheckConstraint(condition=condition, name=name),
            )
            for name, condition in CHECKS
        ),
        migrations.RunSQL(FREEZE_NOW, FREEZE_BEFORE),
    ]
