"""How long a compliance report over a month takes, and how much memory it needs."""
