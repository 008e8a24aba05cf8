-- One source of rows for all: time and id first, so that a decision and its events agree. Days are
-- busy by noon; the traffic of an hour is never nothing. In the order of time, as records arrive.
    SELECT g, at,
        (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
            || lpad(to_hex((random() * 4095)::int), 3, '0') || '8' || substr(md5(random()::text), 1, 15)
        )::uuid AS id
    FROM (
        SELECT g, %(start)s::timestamptz + make_interval(secs =>
            CASE WHEN random() < 0.6 THEN floor(random() * %(days)s) * 86400
                + 86400 * (0.5 + (random() + random() + random() - 1.5) / 6)
            ELSE random() * %(days)s * 86400 END) AS at
        FROM generate_series(1, %(rows)s) g
        ORDER BY at
    ) t
