"""The control plane: snapshot compiler, admin API, drain of the journals."""
