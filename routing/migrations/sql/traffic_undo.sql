ALTER TABLE routing_decision RENAME TO routing_decision_parts;
CREATE TABLE routing_decision (
    LIKE routing_decision_parts INCLUDING DEFAULTS INCLUDING CONSTRAINTS
);
INSERT INTO routing_decision SELECT * FROM routing_decision_parts;
DROP TABLE routing_decision_parts;
ALTER TABLE routing_decision ADD PRIMARY KEY (id);
CREATE INDEX decision_by_route ON routing_decision (route, id DESC);
CREATE INDEX decision_by_client ON routing_decision (client_id, id DESC);
CREATE INDEX decision_by_rule ON routing_decision (rule, id DESC);
CREATE INDEX decision_by_request ON routing_decision (request_id);
CREATE INDEX decision_without_end ON routing_decision (deadline_at) WHERE outcome = 'open';
DROP FUNCTION routing_ensure_partitions(integer, timestamptz);
DROP FUNCTION routing_recount();
DROP FUNCTION routing_count_decisions();
DROP FUNCTION routing_roll_up_sql(text);
DROP FUNCTION routing_add(integer[], integer[]);
DROP FUNCTION routing_speed_ends();
