"""Backups of a state folder: what is in one, how it is written and read back."""
