"""From a shadow run to all of a route's traffic: evidence, promotion, rollout."""
