"""The data plane: one request from the client to a provider and back. Knows neither ledger nor control plane."""
