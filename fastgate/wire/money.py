"""Money as people read it."""


def usd(nano: int) -> str:
    """Nano-USD as a decimal string of 9 places: ``1500000000`` is ``"1.500000000"``."""
    sign = "-" if nano < 0 else ""
    whole, part = divmod(abs(nano), 1_000_000_000)
    return f"{sign}{whole}.{part:09d}"
