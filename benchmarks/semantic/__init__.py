"""How often the semantic cache hits, and how often it is wrong: ``make bench-semantic PAIRS=FILE``."""
