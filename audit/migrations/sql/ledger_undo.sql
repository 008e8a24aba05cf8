-- An empty ledger may go. One with entries is evidence: dropping it is not a migration.
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM audit.event LIMIT 1) OR EXISTS (SELECT 1 FROM audit.leaf LIMIT 1) THEN
        RAISE EXCEPTION 'the ledger has entries and is not removed by a migration';
    END IF;
END $$;
DROP SCHEMA audit CASCADE;
