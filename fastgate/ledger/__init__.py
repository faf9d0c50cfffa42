"""The request store: one DuckDB file that the control plane alone opens. Knows no process, no HTTP and no arena."""
