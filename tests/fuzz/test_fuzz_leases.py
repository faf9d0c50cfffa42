"""What workers say on the control process' socket, mutated: understood as it was written, or refused."""

import msgspec

from fastgate.wire.leasing import encoded, want_of
from fastgate.wire.snapshot import BudgetRecord, Counted, LimitRecord, Window
from tests.fuzz.harness import TARGETS, main, run, target

BUDGET = BudgetRecord(
    5_000_000_000, Window.MONTH, 1, "team", "team:blue", "team:blue/month/default", zone="Europe/Paris"
)
LIMIT = LimitRecord(
    100, Counted.REQUESTS, Window.MINUTE, 2, "key", "key:ide", "key:ide/limit/requests/2-minute", ("a*",)
)
SEEDS = [encoded(7, 322_163_277, 1_500_000, BUDGET), encoded(0, 1 << 30, 1, LIMIT)]
TOKENS = [b"\x95", b"\xc0", b"\xd3" + bytes(8), b"\xff", b"\xa0", b"\x90", b"\xcf" + b"\xff" * 8]


@target("leases", seeds=SEEDS, tokens=TOKENS)
def check_wants(data: bytes) -> None:
    try:
        want = want_of(data)
    except (ValueError, msgspec.MsgspecError):
        return
    assert min(want.cell, want.window, want.missing) >= 0
    assert want_of(encoded(want.cell, want.window, want.missing, want.record)) == want


def test_for_a_short_while() -> None:
    run(TARGETS["leases"], rounds=3000, seed=1)


if __name__ == "__main__":
    main(["leases"])
