"""Providers' bills: reading them exactly, and comparing them with what the ledger booked."""
