"""Upstream services: address, authentication, quirks. Tables over code."""

from fastgate.providers.kinds import KINDS, ProviderKind

__all__ = ["KINDS", "ProviderKind"]
