-- The ledger: append-only tables, their checks, their guards. PostgreSQL 15 or newer, no extension.

CREATE SCHEMA audit;

-- Roles exist already where the installation separates them; an owner that may create roles makes
-- the missing ones without login. Without either, everything works under one role and
-- `manage.py audit_doctor` says what is weaker.
DO $$
DECLARE
    wanted text;
BEGIN
    IF (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
        FOREACH wanted IN ARRAY ARRAY['signalbox_app', 'signalbox_sequencer', 'signalbox_reader']
        LOOP
            IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        END LOOP;
    END IF;
END $$;

-- id is a UUIDv7, so months are ranges of it. "Exactly one decision.made, exactly one terminal
-- event" is the primary key: decision.made has the id of its decision, the terminal event has the
-- same id with version 8, and the checks below allow nothing else under those ids.
CREATE TABLE audit.event (
    id uuid NOT NULL PRIMARY KEY,
    decision_id uuid,
    kind text NOT NULL,
    at timestamptz NOT NULL,
    body bytea NOT NULL,
    leaf bytea NOT NULL,
    actor text NOT NULL DEFAULT '',
    object_type text NOT NULL DEFAULT '',
    object_id text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT '',
    result text NOT NULL DEFAULT 'ok',
    reason text NOT NULL DEFAULT '',
    CONSTRAINT event_body_size CHECK (octet_length(body) BETWEEN 2 AND 65535),
    CONSTRAINT event_leaf_is_hash_of_body CHECK (leaf = sha256('\x00'::bytea || body)),
    CONSTRAINT event_kind_is_noun_verbed CHECK (kind ~ '^[a-z_]+\.[a-z_]+$'),
    CONSTRAINT event_made_has_id_of_decision
        CHECK ((kind = 'decision.made') = COALESCE(id = decision_id, false)),
    CONSTRAINT event_terminal_has_version_8 CHECK (
        (substr(id::text, 15, 1) = '8') = (kind IN (
            'decision.completed', 'decision.failed', 'decision.aborted', 'decision.blocked',
            'decision.held', 'decision.refused', 'decision.safe_default',
            'decision.outcome_unknown'
        ))
    ),
    CONSTRAINT event_terminal_has_id_of_decision CHECK (
        substr(id::text, 15, 1) = '7'
        OR (substr(id::text, 15, 1) = '8'
            AND decision_id IS NOT NULL
            AND overlay(id::text PLACING '7' FROM 15) = decision_id::text)
    )
) PARTITION BY RANGE (id);

CREATE TABLE audit.event_default PARTITION OF audit.event DEFAULT;

CREATE INDEX event_by_time ON audit.event (at DESC, id DESC);
CREATE INDEX event_by_actor ON audit.event (actor, at DESC, id DESC);
CREATE INDEX event_by_request ON audit.event (request_id) WHERE request_id <> '';
-- Decisions are searched in their own list, so what happened to an object leaves them out here;
-- the two bulk kinds need no index by kind either: reading by time finds them at once.
CREATE INDEX event_by_object ON audit.event (object_type, object_id, at DESC, id DESC)
    WHERE substr(id::text, 15, 1) = '7' AND kind <> 'decision.made';
CREATE INDEX event_by_kind ON audit.event (kind, at DESC, id DESC)
    WHERE kind NOT IN ('decision.made', 'decision.completed');
-- A decision's own two events are found by their ids; this finds everything else about it.
CREATE INDEX event_about_decision ON audit.event (decision_id)
    WHERE decision_id IS NOT NULL AND substr(id::text, 15, 1) = '7' AND kind <> 'decision.made';
CREATE INDEX event_not_ok ON audit.event (at DESC, id DESC) WHERE result <> 'ok';
CREATE INDEX event_by_reason ON audit.event USING gin (to_tsvector('simple', reason))
    WHERE reason <> '';

-- Written in the statement that writes the event; emptied by the sequencer.
CREATE TABLE audit.pending (
    event_id uuid NOT NULL PRIMARY KEY
);

CREATE TABLE audit.leaf (
    seq bigint NOT NULL PRIMARY KEY CHECK (seq >= 0),
    event_id uuid NOT NULL UNIQUE,
    leaf bytea NOT NULL CHECK (octet_length(leaf) = 32)
);

-- Roots of complete subtrees of 256, 65 536, ... entries: makes proofs fast. Derived, rebuildable.
CREATE TABLE audit.node (
    level smallint NOT NULL CHECK (level > 0),
    n bigint NOT NULL CHECK (n >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (level, n)
);

CREATE TABLE audit.checkpoint (
    size bigint NOT NULL PRIMARY KEY CHECK (size >= 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    frontier bytea NOT NULL CHECK (octet_length(frontier) % 32 = 0),
    note text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX checkpoint_by_time ON audit.checkpoint (at);

CREATE TABLE audit.key (
    name text NOT NULL,
    vkey text NOT NULL PRIMARY KEY,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'retired', 'compromised')),
    from_size bigint NOT NULL CHECK (from_size >= 0),
    to_size bigint CHECK (to_size >= from_size),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The only tables of the schema whose rows may go: erasing destroys ciphertext, key and salt.
CREATE TABLE audit.payload (
    id uuid NOT NULL PRIMARY KEY,
    decision_id uuid,
    kind text NOT NULL,
    ciphertext bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payload_by_decision ON audit.payload (decision_id);
CREATE INDEX payload_by_age ON audit.payload (created_at);

CREATE TABLE audit.payload_key (
    payload_id uuid NOT NULL PRIMARY KEY REFERENCES audit.payload (id) ON DELETE CASCADE,
    wrapped_dek bytea NOT NULL,
    salt bytea NOT NULL CHECK (octet_length(salt) = 32)
);

-- Dense numbers: an event that disappears before it is sequenced leaves a hole.
CREATE TABLE audit.writer (
    id text NOT NULL PRIMARY KEY,
    n bigint NOT NULL CHECK (n > 0)
);

CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: the ledger is append-only',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

-- ENABLE ALWAYS: session_replication_role = replica does not switch them off. Statement triggers
-- of a partitioned table do not fire for its partitions, so each table gets its own.
CREATE FUNCTION audit.guard(target regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', target);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', target);
END $$;

SELECT audit.guard('audit.event'), audit.guard('audit.event_default'), audit.guard('audit.leaf'),
       audit.guard('audit.node'), audit.guard('audit.checkpoint');

-- The smallest UUID of a moment: where a month begins in the order of ids.
CREATE FUNCTION audit.first_id(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE
RETURN (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0')
    || '00000000000000000000')::uuid;

-- Makes the partitions of this month and the months ahead. Runs as the owner for whoever calls it.
-- A month whose events already went to the default partition stays there.
CREATE FUNCTION audit.ensure_partitions(ahead integer DEFAULT 3) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    month timestamptz;
    following timestamptz;
    name text;
    made integer := 0;
    is_taken boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(727182835, 1);
    FOR step IN 0..least(greatest(ahead, 0), 60) LOOP
        month := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => step))
            AT TIME ZONE 'UTC';
        following := (date_trunc('month', now() AT TIME ZONE 'UTC')
            + make_interval(months => step + 1)) AT TIME ZONE 'UTC';
        name := 'event_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
        CONTINUE WHEN to_regclass('audit.' || name) IS NOT NULL;
        SELECT EXISTS (
            SELECT 1 FROM audit.event_default
            WHERE id >= audit.first_id(month) AND id < audit.first_id(following)
        ) INTO is_taken;
        CONTINUE WHEN is_taken;
        EXECUTE format('CREATE TABLE audit.%I PARTITION OF audit.event FOR VALUES FROM (%L) TO (%L)',
            name, audit.first_id(month), audit.first_id(following));
        PERFORM audit.guard(format('audit.%I', name)::regclass);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

SELECT audit.ensure_partitions(14);

-- Next number of a writer slot. A slot belongs to one transaction at a time, so no transaction
-- waits for another, and a rolled back one leaves no hole. The locks end with the transaction.
CREATE FUNCTION audit.next_number(OUT writer text, OUT n bigint) LANGUAGE plpgsql AS $$
DECLARE
    slot integer := 0;
BEGIN
    WHILE slot < 63 AND NOT pg_try_advisory_xact_lock(727182836, slot) LOOP
        slot := slot + 1;
    END LOOP;
    writer := 'app-' || slot;
    INSERT INTO audit.writer AS w (id, n) VALUES (writer, 1)
        ON CONFLICT (id) DO UPDATE SET n = w.n + 1
        RETURNING w.n INTO next_number.n;
END $$;

REVOKE ALL ON SCHEMA audit FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION audit.ensure_partitions(integer) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION audit.guard(regclass) FROM PUBLIC;

DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'signalbox_app') THEN
        GRANT USAGE ON SCHEMA audit TO signalbox_app;
        GRANT SELECT ON ALL TABLES IN SCHEMA audit TO signalbox_app;
        GRANT INSERT ON audit.event, audit.pending TO signalbox_app;
        GRANT INSERT, DELETE ON audit.payload, audit.payload_key TO signalbox_app;
        GRANT INSERT, UPDATE (n) ON audit.writer TO signalbox_app;
        GRANT EXECUTE ON FUNCTION audit.ensure_partitions(integer) TO signalbox_app;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'signalbox_sequencer') THEN
        GRANT USAGE ON SCHEMA audit TO signalbox_sequencer;
        GRANT SELECT ON audit.event, audit.pending, audit.leaf, audit.node, audit.checkpoint,
            audit.key TO signalbox_sequencer;
        GRANT DELETE ON audit.pending TO signalbox_sequencer;
        GRANT INSERT ON audit.leaf, audit.node, audit.checkpoint, audit.key TO signalbox_sequencer;
        GRANT UPDATE (state, to_size) ON audit.key TO signalbox_sequencer;
        GRANT EXECUTE ON FUNCTION audit.ensure_partitions(integer) TO signalbox_sequencer;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'signalbox_reader') THEN
        GRANT USAGE ON SCHEMA audit TO signalbox_reader;
        GRANT SELECT ON audit.event, audit.pending, audit.leaf, audit.node, audit.checkpoint,
            audit.key, audit.writer TO signalbox_reader;
    END IF;
END $$;
