-- The decision list in months, and what the screens read instead of it: counts and speeds per five
-- minutes, hour and day. The counts follow the list by its own triggers, in the statement that
-- writes it, so nobody can write one without the other. All of it can be made again.

ALTER TABLE routing_decision RENAME TO routing_decision_flat;

CREATE TABLE routing_decision (
    LIKE routing_decision_flat INCLUDING DEFAULTS INCLUDING CONSTRAINTS
) PARTITION BY RANGE (id);

-- Upper ends of the classes of a speed: a quarter of an octave each, 1 to 2^20 of its unit.
CREATE FUNCTION routing_speed_ends() RETURNS double precision[] LANGUAGE sql IMMUTABLE
RETURN (SELECT array_agg(power(2, k / 4.0)::double precision ORDER BY k) FROM generate_series(0, 80) k);

CREATE FUNCTION routing_add(a integer[], b integer[]) RETURNS integer[] LANGUAGE sql IMMUTABLE
RETURN (SELECT array_agg(x + y ORDER BY at) FROM unnest(a, b) WITH ORDINALITY AS u (x, y, at));

-- The one statement that counts: `source` is a query of decisions with a column `sign`, 1 or -1.
-- Decisions without an end are not counted here; they are few, and an index finds them.
CREATE FUNCTION routing_roll_up_sql(source text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN replace(replace($template$
WITH ended AS MATERIALIZED (
    SELECT sign, date_bin('5 minutes', at, 'epoch') AS slot, at, route, policy, rule, cause, action,
        outcome, tier, backend, boundary, data_class, attempts, input_tokens, output_tokens,
        cost_usd, baseline_cost_usd, overhead_us, first_token_ms, total_ms
    FROM (%SOURCE%) s WHERE outcome <> 'open'
), counted AS MATERIALIZED (
    SELECT slot, route, policy, rule, cause, action, outcome, tier, backend, boundary, data_class,
        sum(sign) AS n, sum(sign * attempts) AS attempts,
        coalesce(sum(sign * input_tokens::bigint), 0) AS input_tokens,
        coalesce(sum(sign * output_tokens::bigint), 0) AS output_tokens,
        coalesce(sum(sign * cost_usd), 0) AS cost_usd,
        coalesce(sum(sign * cost_usd) FILTER (WHERE baseline_cost_usd IS NOT NULL), 0)
            AS compared_cost_usd,
        coalesce(sum(sign * baseline_cost_usd), 0) AS baseline_cost_usd,
        max(at) AS last_at
    FROM ended
    GROUP BY slot, route, policy, rule, cause, action, outcome, tier, backend, boundary, data_class
), traffic AS (
    INSERT INTO routing_traffic AS t (span, slot, key, route, policy, rule, cause, action, outcome,
        tier, backend, boundary, data_class, n, attempts, input_tokens, output_tokens, cost_usd,
        compared_cost_usd, baseline_cost_usd, last_at)
    SELECT minutes, date_bin(make_interval(mins => minutes), slot, 'epoch') AS at,
        md5(concat_ws(chr(31), route, policy, rule, cause, action, outcome, tier, backend,
            boundary, data_class))::uuid AS key,
        route, policy, rule, cause, action, outcome, tier, backend, boundary, data_class,
        sum(n), sum(attempts), sum(input_tokens), sum(output_tokens), sum(cost_usd),
        sum(compared_cost_usd), sum(baseline_cost_usd), max(last_at)
    FROM counted CROSS JOIN (VALUES (5), (60), (1440)) AS span (minutes)
    GROUP BY minutes, at, route, policy, rule, cause, action, outcome, tier, backend, boundary,
        data_class
    ORDER BY minutes, at, key
    ON CONFLICT (span, slot, key) DO UPDATE SET
        n = t.n + excluded.n, attempts = t.attempts + excluded.attempts,
        input_tokens = t.input_tokens + excluded.input_tokens,
        output_tokens = t.output_tokens + excluded.output_tokens,
        cost_usd = t.cost_usd + excluded.cost_usd,
        compared_cost_usd = t.compared_cost_usd + excluded.compared_cost_usd,
        baseline_cost_usd = t.baseline_cost_usd + excluded.baseline_cost_usd,
        last_at = greatest(t.last_at, excluded.last_at)
), measured AS MATERIALIZED (
    SELECT slot, route, backend, measure,
        width_bucket(value::double precision, routing_speed_ends()) AS class, sum(sign) AS n
    FROM ended CROSS JOIN LATERAL (VALUES
        ('total_ms', CASE WHEN outcome = 'served' THEN total_ms END),
        ('first_token_ms', CASE WHEN outcome = 'served' THEN first_token_ms END),
        ('overhead_us', overhead_us)) AS v (measure, value)
    WHERE value IS NOT NULL
    GROUP BY slot, route, backend, measure, class
)
INSERT INTO routing_speed AS t (span, slot, route, backend, measure, counts)
SELECT minutes, date_bin(make_interval(mins => minutes), slot, 'epoch') AS at, route, backend,
    measure, ARRAY[%CLASSES%]
FROM measured CROSS JOIN (VALUES (5), (60)) AS span (minutes)
GROUP BY minutes, at, route, backend, measure
ORDER BY minutes, at, route, backend, measure
ON CONFLICT (span, slot, route, backend, measure) DO UPDATE SET
    counts = routing_add(t.counts, excluded.counts)
$template$,
    '%CLASSES%', (
        SELECT string_agg(
            format('coalesce(sum(n) FILTER (WHERE class = %s), 0)::integer', k), ', ' ORDER BY k)
        FROM generate_series(0, 81) k)),
    '%SOURCE%', source);

CREATE FUNCTION routing_count_decisions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM routing_traffic;
        DELETE FROM routing_speed;
    ELSIF TG_OP = 'INSERT' THEN
        EXECUTE routing_roll_up_sql('SELECT 1 AS sign, * FROM new_rows');
    ELSIF TG_OP = 'UPDATE' THEN
        EXECUTE routing_roll_up_sql('SELECT 1 AS sign, * FROM new_rows'
            ' UNION ALL SELECT -1, * FROM old_rows');
    ELSE
        EXECUTE routing_roll_up_sql('SELECT -1 AS sign, * FROM old_rows');
    END IF;
    RETURN NULL;
END $$;

-- All counts again from the list, a month at a time. Whoever calls it holds the follower off.
CREATE FUNCTION routing_recount() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    part regclass;
BEGIN
    DELETE FROM routing_traffic;
    DELETE FROM routing_speed;
    FOR part IN SELECT inhrelid FROM pg_inherits
        WHERE inhparent = 'routing_decision'::regclass ORDER BY inhrelid
    LOOP
        EXECUTE routing_roll_up_sql(format('SELECT 1 AS sign, * FROM %s', part));
    END LOOP;
    RETURN (SELECT coalesce(sum(n), 0) FROM routing_traffic WHERE span = 1440);
END $$;

-- Makes the partitions from the month of `since` to `ahead` months from now. A default partition
-- would cost the list its order by partition, so two edges take what lies outside of the months;
-- rows of an edge move into their month. Runs as the owner for whoever calls it.
CREATE FUNCTION routing_ensure_partitions(
    ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    first timestamp := date_trunc('month', least(since, now()) AT TIME ZONE 'UTC');
    last timestamp := date_trunc('month', now() AT TIME ZONE 'UTC')
        + make_interval(months => least(greatest(ahead, 0), 60));
    known_first timestamp;
    known_last timestamp;
    month timestamp;
    name text;
    edge text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(727182835, 2);
    SELECT min(m), max(m) INTO known_first, known_last FROM (
        SELECT to_date(right(c.relname, 7), 'YYYY_MM') AS m
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'routing_decision'::regclass
            AND c.relname ~ '^routing_decision_\d{4}_\d{2}$') known;
    IF first >= known_first AND last <= known_last THEN
        RETURN 0;
    END IF;
    first := least(first, known_first);
    last := greatest(last, known_last);
    ALTER TABLE routing_decision DISABLE TRIGGER USER;
    FOREACH edge IN ARRAY ARRAY['earlier', 'later'] LOOP
        CONTINUE WHEN to_regclass('routing_decision_' || edge) IS NULL;
        EXECUTE format('ALTER TABLE routing_decision DETACH PARTITION %I', 'routing_decision_' || edge);
        EXECUTE format('ALTER TABLE %I RENAME TO %I', 'routing_decision_' || edge,
            'routing_decision_left_' || edge);
    END LOOP;
    month := first;
    WHILE month <= last LOOP
        name := 'routing_decision_' || to_char(month, 'YYYY_MM');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF routing_decision FOR VALUES FROM (%L) TO (%L)', name,
                audit.first_id(month AT TIME ZONE 'UTC'),
                audit.first_id((month + interval '1 month') AT TIME ZONE 'UTC'));
            made := made + 1;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    EXECUTE format('CREATE TABLE routing_decision_earlier PARTITION OF routing_decision'
        ' FOR VALUES FROM (MINVALUE) TO (%L)', audit.first_id(first AT TIME ZONE 'UTC'));
    EXECUTE format('CREATE TABLE routing_decision_later PARTITION OF routing_decision'
        ' FOR VALUES FROM (%L) TO (MAXVALUE)', audit.first_id(month AT TIME ZONE 'UTC'));
    FOREACH edge IN ARRAY ARRAY['earlier', 'later'] LOOP
        name := 'routing_decision_left_' || edge;
        CONTINUE WHEN to_regclass(name) IS NULL;
        EXECUTE format('INSERT INTO routing_decision SELECT * FROM %I', name);
        EXECUTE format('DROP TABLE %I', name);
    END LOOP;
    ALTER TABLE routing_decision ENABLE TRIGGER USER;
    RETURN made;
END $$;

SELECT routing_ensure_partitions(14, coalesce((SELECT min(at) FROM routing_decision_flat), now()));
INSERT INTO routing_decision SELECT * FROM routing_decision_flat;
DROP TABLE routing_decision_flat;

ALTER TABLE routing_decision ADD PRIMARY KEY (id);
CREATE INDEX decision_by_route ON routing_decision (route, id DESC);
CREATE INDEX decision_by_client ON routing_decision (client_id, id DESC);
CREATE INDEX decision_by_rule ON routing_decision (rule, id DESC);
CREATE INDEX decision_by_backend ON routing_decision (backend, id DESC);
CREATE INDEX decision_by_request ON routing_decision (request_id);
CREATE INDEX decision_by_session ON routing_decision (session, id DESC) WHERE session <> '';
-- What most decisions are needs no index; what few of them are would be looked for everywhere.
CREATE INDEX decision_by_outcome ON routing_decision (outcome, id DESC)
    WHERE outcome NOT IN ('served', 'open');
CREATE INDEX decision_by_cause ON routing_decision (cause, id DESC) WHERE cause <> 'rule_match';
CREATE INDEX decision_with_error ON routing_decision (backend, id DESC) WHERE error_code <> '';
CREATE INDEX decision_without_end ON routing_decision (deadline_at) WHERE outcome = 'open';

SELECT routing_recount();

CREATE TRIGGER count_new AFTER INSERT ON routing_decision
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION routing_count_decisions();
CREATE TRIGGER count_changed AFTER UPDATE ON routing_decision
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION routing_count_decisions();
CREATE TRIGGER count_gone AFTER DELETE ON routing_decision
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION routing_count_decisions();
CREATE TRIGGER count_emptied AFTER TRUNCATE ON routing_decision
    FOR EACH STATEMENT EXECUTE FUNCTION routing_count_decisions();

REVOKE EXECUTE ON FUNCTION routing_ensure_partitions(integer, timestamptz) FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'signalbox_app') THEN
        GRANT EXECUTE ON FUNCTION routing_ensure_partitions(integer, timestamptz) TO signalbox_app;
        -- A new table is granted by default privileges; where an installation has none, as before.
        GRANT SELECT, INSERT, UPDATE, DELETE ON routing_decision, routing_traffic, routing_speed
            TO signalbox_app;
    END IF;
END $$;
