-- Of each row of the times the two events of a decision.
WITH ids AS MATERIALIZED (%TIMES%), bodies AS (
    SELECT id, id AS decision_id, at, 'decision.made' AS kind, 'api_key:key' AS actor,
        replace(replace(%(made)s, %(mark)s, id::text), %(mark_at)s, to_json(at)#>>'{}') AS body
    FROM ids
    UNION ALL
    SELECT overlay(id::text PLACING '8' FROM 15)::uuid, id, at + interval '1 s',
        'decision.completed', 'system:router',
        replace(replace(%(ended)s, %(mark)s, id::text), %(mark_at)s, to_json(at)#>>'{}')
    FROM ids
)
INSERT INTO audit.event (id, decision_id, kind, at, body, leaf, actor, object_type, object_id,
    request_id, result, reason)
SELECT id, decision_id, kind, at, bytes, sha256('\x00'::bytea || bytes), actor, 'route',
    'route-01', 'req_' || replace(decision_id::text, '-', ''), 'ok', ''
FROM (SELECT *, convert_to(body, 'UTF8') AS bytes FROM bodies) b
