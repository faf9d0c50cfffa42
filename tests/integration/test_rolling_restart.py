"""Hosts behind nginx are restarted one after another under load: no request fails, and all money is accounted for."""

from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from tests.support.crowd import Crowd, spending
from tests.support.house import House, free_port, key, secret, wait_for
from tests.support.nginx import Nginx, packaged
from tests.support.redis_server import RedisServer
from tests.support.shared_hosts import SPENDABLE, TOKENS, billed, hosts
from tests.support.visitors import Visitors

LIMIT: Final = Decimal("0.40")
"""It is spent out before the last host is back."""
DELAY_SECONDS: Final = 2.5
IDLE: Final = {"keepalive_timeout 5s;": "keepalive_timeout 300ms;"}
"""So that the delay can be short, too: what counts is that it is the longer one."""
DOWN: Final = ("fail_timeout=5s", "fail_timeout=1s")
"""Likewise: nginx asks the host before again while the next one still serves. It counts whole seconds."""
STREAM: Final = {"tokens": 30, "chunks": 12, "chunk_ms": 60}

pytestmark = pytest.mark.alone


def settings(url: str) -> dict[str, object]:
    return {
        "server": {"drain_delay_seconds": DELAY_SECONDS, "drain_seconds": 20},
        "redis": {"url": url, "cluster_id": "rolling", "lease_wait_ms": 1000},
        "teams": [
            {"id": "rich", "budgets": [{"limit_usd": "1000", "window": "lifetime"}]},
            {"id": "poor", "budgets": [{"limit_usd": str(LIMIT), "window": "lifetime"}]},
        ],
        "keys": [key("rich", team="rich"), key("poor", team="poor")],
    }


def restart(house: House) -> None:
    """As a service manager does: it is told to end, and when it has ended it is started."""
    assert house.stop() == 0
    house.start()


def requests(house: House) -> int:
    """In the host's ledger."""
    return int(house.admin("spend")["total"]["requests"])


def test_hosts_are_restarted_one_after_another_and_no_request_fails(tmp_path: Path) -> None:
    port = free_port()
    with RedisServer(tmp_path) as redis, hosts(tmp_path, [settings(redis.url)] * 3) as houses:
        front = packaged(port, [house.port for house in houses], changed=IDLE).replace(*DOWN)
        visitors = Visitors(port, secret("rich"), streamers=12, callers=8, script=STREAM, heavy=1)
        with Nginx(tmp_path / "nginx", front, port):
            poor = Crowd([port], spending(secret("poor"), TOKENS, latency_ms=100), 4)
            with visitors.running(), poor:
                for house in houses:
                    restart(house)
                served = list(map(requests, houses))
                again = lambda: all(map(int.__gt__, map(requests, houses), served))  # noqa: E731
                wait_for(again, 20, "all hosts serve again")
        for house in houses:
            house.settled()
        print(f"{visitors.answers} answers, {visitors.streams} streams, {dict(poor.statuses)} of the poor")
        assert visitors.failures == []
        assert poor.statuses.keys() <= {200, 402}, (poor.statuses, poor.bodies)
        assert visitors.streams > visitors.streamers
        assert visitors.answers > visitors.callers
        groups = [group for house in houses for group in house.admin("spend", by="team")["groups"]]
        spent = {team: sum(Decimal(g["cost_usd"]) for g in groups if g["team"] == team) for team in ("rich", "poor")}
        assert sum(spent.values()) == billed(houses[0])
        assert SPENDABLE * LIMIT <= spent["poor"] <= LIMIT, spent
        assert not any(group["estimated_requests"] + group["unsettled_requests"] for group in groups)
        assert sum(group["requests"] for group in groups) >= visitors.answers + visitors.streams
