"""How fast a host's ledger gets into PostgreSQL, how large it is there, and what requests notice of it.

``python -m benchmarks.shared_ledger``: two minutes; prints a line for each. PostgreSQL is on the same machine, and
writes durably.
"""

import tempfile
import time
from pathlib import Path
from typing import Any, Final

from fastgate.ledger.schema import EVENT_NUMBERS
from fastgate.ledger.store import Ledger
from tests.support.crowd import Crowd, spending
from tests.support.house import House, key, secret, wait_for
from tests.support.ledger_rows import columns
from tests.support.postgres import PostgresServer
from tests.support.shared_ledger import Shipper, place

ROWS: Final = 300_000
_AT_ONCE: Final = 50_000
_CLIENTS: Final = 16
_SECONDS: Final = 5
_USED: Final = {
    "started_us", "duration_us", "upstream_us", "ttft_us", "overhead_us", "attempts", "cost_nano", "hold_nano",
    "input_tokens", "cache_read_tokens", "output_tokens",
}  # fmt: skip
"""Of most requests the other numbers are 0."""
_FEW: Final = ("key", "team", "customer", "user", "session", "operation", "tags", "settlement")
"""The other texts are the same of all requests of a batch, so that origins are some hundreds."""


def fill(ledger: Ledger) -> None:
    """With ``ROWS`` requests, about one a second."""
    for start in range(0, ROWS, _AT_ONCE):
        events: dict[str, Any] = columns(_AT_ONCE, seed=1, start=start)
        for name, values in events.items():
            if name in EVENT_NUMBERS and name not in _USED:
                values[:] = type(values)("q", bytes(8 * _AT_ONCE))
            elif isinstance(values, list) and name not in {*_FEW, "request_id"}:
                values[:] = values[:1] * _AT_ONCE
        ledger.inserts.add(events, {"made-up": start + _AT_ONCE})


def rate_and_size(server: PostgresServer, folder: Path) -> None:
    """One host and nothing else."""
    database = server.fresh()
    with Shipper(folder / "ledger.duckdb", place(server, database)) as shipper:
        fill(shipper.ledger)
        began, used = time.perf_counter(), time.process_time()
        shipper.ship()
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
    with server.client(database) as client:
        client.execute("VACUUM ANALYZE fastgate.events")
        [(table, indexes)] = client.execute(
            "SELECT sum(pg_table_size(inhrelid))::bigint, sum(pg_indexes_size(inhrelid))::bigint FROM pg_inherits"
            " WHERE inhparent = 'fastgate.events'::regclass"
        ).fetchall()
        [(origins,)] = client.execute("SELECT count(*) FROM fastgate.origins").fetchall()
    print(f"{ROWS / seconds:,.0f} rows a second; {1e6 * cpu / ROWS:.1f} us of CPU a row beside PostgreSQL's")
    print(f"{table / ROWS:.0f} bytes a row, and {indexes / ROWS:.0f} of indexes; {origins:,} origins")


def beside_requests(server: PostgresServer, folder: Path) -> None:
    """A gateway that catches up, and has caught up."""
    (folder / "state").mkdir(mode=0o700)
    ledger = Ledger(folder / "state" / "ledger.duckdb")
    ledger.open()
    fill(ledger)
    ledger.close()
    shared = {"url": server.url(server.fresh()), "configuration": False}
    with House(folder, {"keys": [key("one")], "postgres": shared}, workers=1) as house:
        began = time.monotonic()
        print(f"{_served(house):,.0f} requests a second while it catches up, {_behind(house):,} rows behind then")
        wait_for(lambda: _behind(house) < _AT_ONCE / 10, 120, "it catches up")
        print(f"caught up {time.monotonic() - began:.0f} s after its start")
        print(f"{_served(house):,.0f} requests a second after that")


def _served(house: House) -> float:
    with Crowd([house.port], spending(secret("one"), 100), _CLIENTS) as crowd:
        time.sleep(1)
        before, began = crowd.statuses[200], time.monotonic()
        time.sleep(_SECONDS)
        rate = (crowd.statuses[200] - before) / (time.monotonic() - began)
    assert crowd.statuses.keys() == {200}, crowd.statuses
    return rate


def _behind(house: House) -> int:
    found = house.admin("status")["shared_ledger"]["behind"]
    return ROWS if found is None else int(found)


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as two,
        PostgresServer(durable=True) as database,
    ):
        rate_and_size(database, Path(one))
        beside_requests(database, Path(two))
