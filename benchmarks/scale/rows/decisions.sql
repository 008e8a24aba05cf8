-- A rule has its backend, a route its data class, and a version its time, as policies have them.
INSERT INTO routing_decision (id, at, deadline_at, finished_at, route, client, client_id, request_id,
    session, policy, policy_digest, rule, cause, action, outcome, tier, backend, boundary, data_class,
    streamed, prompt_bytes, sentence, attempts, input_tokens, output_tokens, usage_source, cost_usd,
    baseline_cost_usd, overhead_us, first_token_ms, total_ms, error_code)
SELECT id, at, at + interval '30 s', at + interval '1 s', 'route-' || lpad(route::text, 2, '0'),
    'client ' || client, 'key' || lpad(client::text, 5, '0'), 'req_' || replace(id::text, '-', ''),
    CASE WHEN r3 < 0.3 THEN 's' || (r3 * 100000)::int ELSE '' END,
    'route-' || lpad(route::text, 2, '0') || '@' || (1 + (route + g) %% 2), 'sha256:00',
    CASE WHEN outcome = 'held' THEN 'needs-a-person' WHEN r2 < 0.5 THEN 'narrow-work'
        WHEN r2 < 0.8 THEN 'default' ELSE 'rule-' || (r2 * 20)::int END,
    CASE WHEN r4 < 0.004 THEN 'fallback_error' WHEN r4 < 0.0045 THEN 'classifier_unavailable'
        WHEN r2 < 0.8 AND r2 >= 0.5 THEN 'default_route' ELSE 'rule_match' END,
    CASE outcome WHEN 'held' THEN 'hold' WHEN 'refused' THEN 'refuse'
        WHEN 'safe_default' THEN 'safe_default' ELSE 'route' END,
    outcome, CASE WHEN b = '' THEN '' WHEN b LIKE 'slm%%' THEN 'slm' ELSE 'llm' END, b,
    CASE WHEN b = '' THEN '' WHEN b = 'llm-cloud' THEN 'public' ELSE 'private' END,
    CASE WHEN r3 > 0.998 THEN 'restricted' WHEN route %% 3 = 0 THEN 'confidential'
        WHEN route %% 3 = 1 THEN 'internal' ELSE 'public' END,
    r1 < 0.4, (r2 * 6000)::int, 'Sent to ' || b || ' because the rule matched.', 1,
    (r2 * 1500)::int, (r3 * 400)::int, 'reported', (r2 * 0.002)::numeric(16, 9),
    CASE WHEN route < 10 THEN (0.001 + r2 * 0.004)::numeric(16, 9) END, 400 + (r1 * r2 * 3000)::int,
    CASE WHEN r1 < 0.4 THEN 60 + (r4 * 300)::int END,
    (exp(5.5 + 1.1 * (r1 + r2 + r3 + r4 - 2)) * 2)::int,
    CASE WHEN outcome = 'failed' THEN 'upstream_timeout' ELSE '' END
FROM (
    SELECT *, CASE WHEN outcome IN ('refused', 'safe_default') THEN ''
        WHEN r2 < 0.5 THEN CASE WHEN r1 < 0.95 THEN 'slm-inside' ELSE 'slm-second' END
        WHEN route = 3 OR r2 < 0.9 THEN 'llm-inside' ELSE 'llm-cloud' END AS b
    FROM (
        SELECT *, (random() ^ 2 * 11.99)::int AS route, (random() ^ 2 * 39.99)::int AS client,
            CASE WHEN r4 > 0.994 THEN 'failed' WHEN r4 > 0.986 THEN 'refused'
                WHEN r4 > 0.981 THEN 'safe_default' WHEN r4 > 0.977 THEN 'held'
                WHEN r4 > 0.974 THEN 'aborted' WHEN r4 > 0.9735 THEN 'blocked'
                WHEN r4 > 0.9734 THEN 'outcome_unknown' ELSE 'served' END AS outcome
        FROM (SELECT *, random() AS r1, random() AS r2, random() AS r3, random() AS r4
              FROM (%TIMES%) ids) dice
    ) known
) whole
