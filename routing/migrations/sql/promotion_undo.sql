DROP TRIGGER raise_revision ON routing_rollout;
DROP TRIGGER keep_waiver ON routing_waiver;
DROP FUNCTION routing_keep_waiver;
DROP TRIGGER guard_promotion_approval ON routing_promotionapproval;
DROP FUNCTION routing_guard_promotion_approval;
DROP TRIGGER guard_promotion ON routing_promotion;
DROP FUNCTION routing_guard_promotion;
DROP FUNCTION routing_is_author;
