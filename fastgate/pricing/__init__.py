"""Prices: where they come from and how they become the compiled table."""
