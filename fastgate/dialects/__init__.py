"""Client-facing APIs: what they ask for, how they report usage, and how they are told of failures.

Each is one instance of :class:`fastgate.dialects.base.Dialect`. A dialect knows bytes and ``wire``, and nothing of
providers.
"""
