"""What operators create while the gateway runs: objects, secrets' digests, and the record of who changed what."""
