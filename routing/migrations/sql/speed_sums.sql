-- As before, and speeds are summed over routes, and over routes and backends, when they are written:
-- '*' in the place of a name. A day of the overview is 24 rows instead of thousands.
CREATE OR REPLACE FUNCTION routing_roll_up_sql(source text) RETURNS text LANGUAGE sql IMMUTABLE
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
    SELECT slot, coalesce(route, '*') AS route, coalesce(backend, '*') AS backend, measure, class,
        sum(sign) AS n
    FROM (
        SELECT sign, slot, route, backend, measure,
            width_bucket(value::double precision, routing_speed_ends()) AS class
        FROM ended CROSS JOIN LATERAL (VALUES
            ('total_ms', CASE WHEN outcome = 'served' THEN total_ms END),
            ('first_token_ms', CASE WHEN outcome = 'served' THEN first_token_ms END),
            ('overhead_us', overhead_us)) AS v (measure, value)
        WHERE value IS NOT NULL
    ) each
    GROUP BY GROUPING SETS (
        (slot, measure, class, route, backend), (slot, measure, class, backend),
        (slot, measure, class))
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

SELECT routing_recount();
