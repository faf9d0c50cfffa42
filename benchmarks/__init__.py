"""What the parts cost, gated: see docs/performance.md."""
