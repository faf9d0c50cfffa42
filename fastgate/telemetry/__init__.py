"""Metrics of the control plane, tallied from batches of the ledger; knows neither HTTP nor the ledger's file."""
