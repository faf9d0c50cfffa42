"""Fuzzing of every parser: ``python -m tests.fuzz --seconds 60``."""
