"""From an answer that is being produced to the bill."""

from collections.abc import Sequence

import msgspec

from fastgate.simulator.bill import Bill, Charge
from fastgate.simulator.prices import AUDIO_OUTPUT, OUTPUT, REASONING, Counts


class Booking(msgspec.Struct, frozen=True):
    """Books one answer; called once, when it is known how much of it was produced."""

    bill: Bill
    key: str
    charges: Sequence[Charge]
    started_us: int
    answer_id: int

    def whole(self, outcome: int) -> None:
        """All of it was produced."""
        for number, charge in enumerate(self.charges):
            self.bill.add(self.key, charge, self.started_us, self.answer_id, outcome=outcome, first=number == 0)

    def part(self, outcome: int, done: int, pieces: int, reasoning: float) -> None:
        """``done`` of the ``pieces`` of output were produced, and that share of the reasoning (0 to 1)."""
        for number, charge in enumerate(self.charges):
            part = msgspec.structs.replace(charge, counts=produced(charge.counts, done, pieces, reasoning))
            self.bill.add(self.key, part, self.started_us, self.answer_id, outcome=outcome, first=number == 0)

    def unbilled(self, reason: str) -> None:
        """Nothing was produced."""
        self.bill.count_unbilled(reason)


def produced(counts: Counts, done: int, pieces: int, reasoning: float) -> Counts:
    """The prompt in full, and the share of the output that ``done`` of ``pieces`` make, rounded down."""
    if done >= pieces and reasoning >= 1:
        return counts
    part = list(counts)
    for bucket in (OUTPUT, AUDIO_OUTPUT):
        part[bucket] = part[bucket] * done // pieces if pieces else part[bucket]
    part[REASONING] = int(part[REASONING] * reasoning)
    fresh, read, write, write_1h, output, thought, audio_input, audio_output, searches = part
    return (fresh, read, write, write_1h, output, thought, audio_input, audio_output, searches)
