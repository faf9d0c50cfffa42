"""Structs that cross a border between parts: usage, prices, requests, failures, the snapshot."""
