"""Rules, targets and health: which upstream serves a request."""
