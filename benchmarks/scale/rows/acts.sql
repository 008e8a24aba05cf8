-- What people did: one act in about a thousand events.
INSERT INTO audit.event (id, kind, at, body, leaf, actor, object_type, object_id, request_id, result,
    reason)
SELECT id, kind, at, bytes, sha256('\x00'::bytea || bytes), actor, object_type, object_id,
    'web_' || substr(id::text, 1, 23), CASE WHEN dice < 0.02 THEN 'denied' ELSE 'ok' END, reason
FROM (
    SELECT *, convert_to(replace(%(act)s, %(mark)s, id::text), 'UTF8') AS bytes
    FROM (
        SELECT id, at, random() AS dice,
            (ARRAY['policy.edited', 'policy.submitted', 'policy.approved', 'policy.activated',
                'person.signed_in', 'review.claimed', 'review.decided', 'backend.changed'])
                [1 + floor(random() * 8)::int] AS kind,
            (ARRAY['olivia', 'arjun', 'petra', 'rui', 'ada'])[1 + floor(random() * 5)::int] AS actor,
            'policy_version' AS object_type, 'route-' || (random() * 11)::int || '@1' AS object_id,
            'Because of ticket ' || (random() * 100000)::int
                || CASE WHEN random() < 0.01 THEN ' rollback' ELSE '' END AS reason
        FROM (%TIMES%) ids
    ) acts
) whole
