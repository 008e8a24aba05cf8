"""Rules that the database itself holds: frozen versions, no self-approval, a revision that rises."""

from django.db import migrations

SNAPSHOT_TABLES = (
    "routing_backend",
    "routing_signoff",
    "routing_route",
    "routing_policyversion",
    "routing_killswitch",
    "accounts_apikey",
)

FORWARD = """
CREATE FUNCTION routing_raise_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO routing_snapshotrevision AS r (id, revision) VALUES (1, 1)
        ON CONFLICT (id) DO UPDATE SET revision = r.revision + 1;
    PERFORM pg_notify('signalbox_snapshot', '');
    RETURN NULL;
END $$;

CREATE FUNCTION routing_freeze_version() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER freeze_version BEFORE UPDATE OR DELETE ON routing_policyversion
    FOR EACH ROW EXECUTE FUNCTION routing_freeze_version();

CREATE FUNCTION routing_refuse_own_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.verdict = 'approve'
       AND NEW.by_id = (SELECT author_id FROM routing_policyversion WHERE id = NEW.version_id) THEN
        RAISE EXCEPTION 'the author of a version may not approve it' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER refuse_own_approval BEFORE INSERT OR UPDATE ON routing_policyapproval
    FOR EACH ROW EXECUTE FUNCTION routing_refuse_own_approval();

INSERT INTO routing_snapshotrevision (id, revision) VALUES (1, 0);
"""

BACKWARD = """
DROP TRIGGER refuse_own_approval ON routing_policyapproval;
DROP FUNCTION routing_refuse_own_approval;
DROP TRIGGER freeze_version ON routing_policyversion;
DROP FUNCTION routing_freeze_version;
DROP FUNCTION routing_raise_revision CASCADE;
DELETE FROM routing_snapshotrevision;
"""

TRIGGERS = "".join(
    f"""
CREATE TRIGGER raise_revision AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION routing_raise_revision();
"""
    for table in SNAPSHOT_TABLES
)


class Migration(migrations.Migration):
    dependencies = [("routing", "0001_initial"), ("accounts", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD + TRIGGERS, BACKWARD)]
