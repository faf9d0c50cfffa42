"""The caches: what a request asks, and answers that are kept."""
