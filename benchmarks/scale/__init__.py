"""How fast the screens stay while records grow: fills a database of its own, measures, compares."""
