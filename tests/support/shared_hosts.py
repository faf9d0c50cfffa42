"""Hosts that share a budget: whole gateways with a state of their own, one Redis, and one simulator with one bill."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tests.support.crowd import Crowd
from tests.support.house import House, key, wait_for

TOKENS: Final = 100
"""A request of so many on ``sim-large`` costs about a thousandth of a dollar."""
BUDGET: Final = "team:blue/lifetime/default"
SPENDABLE: Final = Decimal("0.98")
_STILL_SECONDS: Final = 4.0


def settings(url: str, cluster: str, budget: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A team with that budget, and a key ``one`` of it."""
    return {
        "redis": {"url": url, "cluster_id": cluster},
        "teams": [{"id": "blue", "budgets": [budget]}],
        "keys": [key("one", team="blue")],
        **more,
    }


@contextmanager
def hosts(folder: Path, said: list[dict[str, Any]], workers: int = 2) -> Iterator[list[House]]:
    """One of each configuration; they know each other when this begins."""
    with ExitStack() as stack:
        houses: list[House] = []
        for number, each in enumerate(said):
            houses.append(stack.enter_context(one_more(folder / str(number), each, houses, workers)))
        wait_for(lambda: {known(house) for house in houses} == {len(said)}, 30, "all hosts know each other")
        yield houses


def one_more(folder: Path, said: dict[str, Any], houses: list[House], workers: int = 2) -> House:
    """A host beside those that there are."""
    folder.mkdir()
    return House(folder, said, workers=workers, simulator=houses[0].simulator if houses else None)


def copy_of(house: House, folder: Path, said: dict[str, Any], *, with_arena: bool = False) -> House:
    """Another host that goes by its name, and knows nothing of what it spends but what the arena says."""
    (folder / "state").mkdir(parents=True)
    shutil.copy(house.state_dir / "host", folder / "state" / "host")
    copy = House(folder, said, workers=1, simulator=house.simulator)
    if with_arena:
        copy.arena_dir.mkdir(mode=0o700, parents=True)
        shutil.copy(house.arena_dir / "arena.bin", copy.arena_dir / "arena.bin")
    return copy


def known(house: House) -> int:
    """How many hosts live, as one of them says; 0 while the store learns."""
    leases = house.admin("status")["leases"]
    return 0 if leases["learning"] or leases["error"] else int(leases["hosts"])


def learning(house: House) -> bool:
    """Whether the store answers it, and waits until it knows what all hosts have."""
    leases = house.admin("status")["leases"]
    return bool(leases["learning"] and not leases["error"])


def speaks_to(house: House, port: int) -> bool:
    """Whether it is the server there, of several, that the host leases from."""
    return str(house.admin("status")["leases"]["store"]).endswith(f", now 127.0.0.1:{port}")


def billed(house: House) -> Decimal:
    """USD on the provider's bill."""
    return Decimal(house.bill()["total"]["usd"])


def spent_out(house: House, meanwhile: Callable[[], None] = lambda: None, seconds: float = 90) -> Decimal:
    """The bill when nothing more has come onto it for a while."""
    deadline, last, since = time.monotonic() + seconds, Decimal(-1), time.monotonic()
    while time.monotonic() < deadline:
        meanwhile()
        now = billed(house)
        if now != last:
            last, since = now, time.monotonic()
        elif now > 0 and time.monotonic() - since > _STILL_SECONDS:
            break
        time.sleep(0.1)
    return last


def check(total: Decimal, limit: Decimal, crowd: Crowd) -> None:
    """Never above, all but all of it spent, and nobody was told anything else than that it is spent."""
    print(f"{total} of {limit} USD on the bill, {100 * total / limit:.3f} %; answers {dict(crowd.statuses)}")
    assert total <= limit, f"overspent: {total} of {limit}"
    assert total >= SPENDABLE * limit, f"left unspent: {total} of {limit}"
    assert crowd.statuses.keys() <= {0, 200, 402}, (crowd.statuses, crowd.bodies)
