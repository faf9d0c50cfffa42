"""Every process is renewed, and the configuration read again, under load: no request fails and no stream is cut."""

import os
import signal
from concurrent.futures import Future, ThreadPoolExecutor, wait
from decimal import Decimal
from pathlib import Path

import pytest

from fastgate.simulator.process import Simulator
from loadtest import nginx, wrk
from loadtest.house import CONSTANT, INPUT_USD, OUTPUT_USD, price
from loadtest.programs import Programs
from tests.support.house import House, key, secret, wait_for
from tests.support.visitors import Visitors

SECONDS = int(os.environ.get("FASTGATE_RENEWAL_SECONDS", "10"))
EVERY_SECONDS = 5
STREAMS = 50
CALLERS = 16
WRK_CONNECTIONS = 128
WRK_PAUSE_MS = 40
"""With so many connections 2,000 requests/s and more, where the machine has the cores for it."""
PLENTY = [{"limit_usd": "1000000", "window": "month"}]


def settings(simulator: Simulator, upstream: nginx.Nginx) -> dict[str, object]:
    """Two providers: a constant one for the rate, and the simulator for streams."""
    prices = {"input_usd_per_million": str(INPUT_USD), "output_usd_per_million": str(OUTPUT_USD), "source": "test"}
    constant = {
        "type": "openai-compatible",
        "base_url": f"http://127.0.0.1:{upstream.port}/v1",
        "keys": [{"name": "k", "value": "upstream-key"}],
        "prices": {nginx.MODEL: prices},
    }
    sim = {"type": "sim", "base_url": simulator.url, "keys": [{"name": "k", "value": "upstream-key"}]}
    return {
        "providers": {CONSTANT: constant, "sim": sim},
        "teams": [{"id": "team", "budgets": PLENTY}],
        "keys": [key("one", team="team", budgets=PLENTY)],
    }


def disturb(house: House, load: "Future[wrk.Loaded]") -> int:
    """Renews every process and has the configuration read again, time after time until the load ends; how often."""
    assert house.process is not None
    count = 0
    while not wait((load,), EVERY_SECONDS / 2).done:
        house.process.send_signal(signal.SIGUSR2)
        count += 1
        if wait((load,), EVERY_SECONDS / 2).done:
            break
        house.process.send_signal(signal.SIGHUP)
    return count


def renewed(house: House) -> int:
    """How often the supervisor says that every process was renewed."""
    return house.log.read_text().count("every process is renewed")


@pytest.mark.timeout(120 + 3 * SECONDS)
def test_no_request_fails_and_no_stream_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Simulator() as simulator, Programs(tmp_path) as programs, ThreadPoolExecutor(1) as pool:
        upstream = nginx.upstream(programs, max(os.sched_getaffinity(0)))
        with House(tmp_path, settings(simulator, upstream), workers=2, simulator=simulator) as house:
            clients = Visitors(
                house.port, secret("one"), STREAMS, CALLERS, {"tokens": 30, "chunks": 30, "chunk_ms": 100}
            )
            with clients.running():
                load = pool.submit(
                    wrk.load, house.port, prompt_bytes=1024, model=f"{CONSTANT}/{nginx.MODEL}", key=secret("one"),
                    connections=WRK_CONNECTIONS, seconds=SECONDS, pause_ms=WRK_PAUSE_MS,
                )  # fmt: skip
                count = disturb(house, load)
                loaded = load.result()
                wait_for(lambda: renewed(house) >= count, 60, "the last renewal is complete")
            with capsys.disabled():
                rate = loaded.requests / loaded.seconds
                print(
                    f"\n{rate:,.0f} requests/s for {loaded.seconds:.0f} s, p99.9 {loaded.p999 / 1000:.0f} ms; {count} "
                    f"renewals; besides {clients.answers} requests, and {clients.streams} streams, {STREAMS} at a time"
                )
            assert clients.failures == []
            assert clients.streams >= STREAMS
            served = upstream.requests()
            house.settled()
            booked = {group["provider"]: group for group in house.admin("spend", by="provider")["groups"]}
            assert booked[CONSTANT]["requests"] == served
            assert Decimal(booked[CONSTANT]["cost_usd"]) == served * price(CONSTANT, nginx.COMPLETION_TOKENS)
            assert Decimal(booked["sim"]["cost_usd"]) == Decimal(simulator.bill()["total"]["usd"])
            assert not any(group["estimated_requests"] + group["unsettled_requests"] for group in booked.values())
