-- Who wrote a version, or what it was rebased from, neither promotes nor approves its promotion.
CREATE FUNCTION routing_is_author(wanted bigint, person bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE line AS (
        SELECT id, author_id, rebased_from_id FROM routing_policyversion WHERE id = wanted
        UNION
        SELECT v.id, v.author_id, v.rebased_from_id
        FROM routing_policyversion v JOIN line ON v.id = line.rebased_from_id
    )
    SELECT EXISTS (SELECT 1 FROM line WHERE author_id = person)
$$;

CREATE FUNCTION routing_guard_promotion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a promotion is never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'UPDATE' AND (
        NEW.evidence <> OLD.evidence OR NEW.evidence_digest <> OLD.evidence_digest
        OR NEW.version_id <> OLD.version_id OR NEW.incumbent_id <> OLD.incumbent_id
        OR NEW.approvals_needed <> OLD.approvals_needed OR NEW.reasons <> OLD.reasons
        OR OLD.state IN ('promoted', 'withdrawn') AND NEW.state <> OLD.state
    ) THEN
        RAISE EXCEPTION 'the evidence of a promotion does not change'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.promoted_by_id IS NOT NULL AND routing_is_author(NEW.version_id, NEW.promoted_by_id) THEN
        RAISE EXCEPTION 'an author of a version may not promote it' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state = 'promoted' AND (
        SELECT count(*) FROM routing_promotionapproval a
        WHERE a.promotion_id = NEW.id AND a.evidence_digest = NEW.evidence_digest
          AND a.by_id IS DISTINCT FROM NEW.promoted_by_id
    ) < NEW.approvals_needed THEN
        RAISE EXCEPTION 'a promotion needs its approvals, none of them by who promotes'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER guard_promotion BEFORE INSERT OR UPDATE OR DELETE ON routing_promotion
    FOR EACH ROW EXECUTE FUNCTION routing_guard_promotion();

CREATE FUNCTION routing_guard_promotion_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION 'an approval is never changed' USING ERRCODE = 'restrict_violation';
    END IF;
    IF routing_is_author(
        (SELECT version_id FROM routing_promotion WHERE id = NEW.promotion_id), NEW.by_id
    ) THEN
        RAISE EXCEPTION 'an author of a version may not approve its promotion'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER guard_promotion_approval BEFORE INSERT OR UPDATE OR DELETE
    ON routing_promotionapproval FOR EACH ROW EXECUTE FUNCTION routing_guard_promotion_approval();

-- A waiver is shown for ever.
CREATE FUNCTION routing_keep_waiver() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a waiver is never changed' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER keep_waiver BEFORE UPDATE OR DELETE ON routing_waiver
    FOR EACH ROW EXECUTE FUNCTION routing_keep_waiver();

-- Only what replicas decide by: the watch writes its figures every few seconds.
CREATE TRIGGER raise_revision AFTER INSERT OR DELETE OR UPDATE OF state, step, share, salt
    ON routing_rollout FOR EACH STATEMENT EXECUTE FUNCTION routing_raise_revision();
