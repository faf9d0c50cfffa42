"""What is offered, to whom and for how long: each profile asks one question."""

from dataclasses import dataclass, replace
from typing import Final

from loadtest.figures import ALONE, BARE, FASTGATE, NGINX
from loadtest.openloop import Phase

EVERYBODY: Final = (ALONE, NGINX, BARE, FASTGATE)
WARM: Final = Phase(1000, 2)


@dataclass(frozen=True)
class Streams:
    """So many ``open`` at a time, each of so many chunks; others begin as they end, for so many seconds."""

    open: int = 1000
    chunks: int = 100
    chunk_ms: float = 50.0
    seconds: float = 30.0

    @property
    def length(self) -> float:
        """Seconds that each takes."""
        return self.chunks * self.chunk_ms / 1000

    def phases(self) -> tuple[Phase, ...]:
        """As many come in the time of one as are to be open; what is measured are those that come after that."""
        rate = self.open / self.length
        return Phase(rate, self.length), Phase(rate, self.seconds)


@dataclass(frozen=True)
class Profile:
    """``phases`` of requests, or ``streams``, or one after the other."""

    question: str
    phases: tuple[Phase, ...] = ()
    streams: Streams | None = None
    warm: Phase = WARM
    """Before the requests that are measured, so that connections are open and code is warm."""
    climbs: bool = False
    """Each phase by itself, until two in a row are not kept up with: a single one may be somebody else's doing."""
    row_seconds: float = 1.0
    promised: bool = False
    """Whether something is promised of what it finds."""
    shows_time: bool = False
    """Whether it matters when a request was due: tables and charts have every row."""
    subjects: tuple[str, ...] = EVERYBODY
    prompt_kb: int = 1
    runs: int = 1

    def shortened(self, share: float) -> "Profile":
        """With so much of each length, whole rows of each phase."""
        phases = tuple(Phase(phase.rate, self._rows(phase.seconds * share)) for phase in self.phases)
        streams = self.streams and replace(self.streams, seconds=self.streams.seconds * share)
        return replace(self, phases=phases, streams=streams)

    def _rows(self, seconds: float) -> float:
        return max(1, round(seconds / self.row_seconds)) * self.row_seconds


STEPS: Final = tuple(Phase(round(2000 * 1.25**step, -2), 4) for step in range(14))
"""From 2,000 to 36,400 requests a second."""

PROFILES: Final = {
    "smoke": Profile(
        "Does it all work?",
        phases=(Phase(1000, 1),),
        streams=Streams(open=50, chunks=10, chunk_ms=20, seconds=0.4),
        warm=Phase(500, 0.2),
        row_seconds=0.5,
    ),
    "5k": Profile(
        "What does it add to a request at 5,000 requests a second?",
        phases=(Phase(5000, 60),),
        warm=Phase(5000, 5),
        promised=True,
    ),
    "step": Profile("How many requests a second does it keep up with?", phases=STEPS, climbs=True),
    "spike": Profile(
        "How long is a burst felt?",
        phases=(Phase(4000, 10), Phase(12_000, 3), Phase(4000, 10)),
        row_seconds=0.1,
        shows_time=True,
        warm=Phase(4000, 3),
    ),
    "soak": Profile(
        "Does it stay as it is?",
        phases=(Phase(3000, 900),),
        row_seconds=10,
        shows_time=True,
        subjects=(FASTGATE,),
    ),
    "streams": Profile("What does it add to streams?", streams=Streams(), promised=True),
}
