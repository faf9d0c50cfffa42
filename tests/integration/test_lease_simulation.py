"""The simulation of hosts that share budgets: the same each time, and its Redis decides what the real one does."""

from collections.abc import Iterator
from functools import partial
from importlib.resources import files
from typing import Any, Final

import pytest
from redis import Redis

from benchmarks.leases.clock import Clock
from benchmarks.leases.cluster import HELD, Cluster, budget
from benchmarks.leases.costs import measured
from benchmarks.leases.hosts import counters
from benchmarks.leases.played import Played, play
from benchmarks.leases.redis import Costs, Server
from benchmarks.leases.report import costs_said, scenarios
from benchmarks.leases.scenarios import SCENARIOS
from benchmarks.leases.scripts import Scripts, Who
from tests.support.redis_server import RedisServer

QUICK: Final = [scenario for scenario in SCENARIOS if scenario.name not in {"busy", "many"}]
FOLDER: Final = files("fastgate.budgets.leases")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Redis"]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server, server.client() as found:
        yield found


class Both(Scripts):
    """The model, and the real scripts on a real Redis: each has to say the same."""

    asked = 0

    def __init__(self, client: "Redis", run: str) -> None:
        super().__init__(run)
        self._name = run
        client.flushdb()
        names = ("join", "reported", "first", "exchange")
        self._real = {name: client.register_script(FOLDER.joinpath(f"{name}.lua").read_text()) for name in names}
        self._client = client

    def join(self, host: str, nonce: str, now: int, lapse: int, quiet: int, *peers: str) -> Any:
        said = super().join(host, nonce, now, lapse, quiet, *peers)
        keys = ["meta", "live", "known", "reported", "ends", "firsts"]
        return self._same(said, "join", keys, host, nonce, self._name, now, lapse, quiet, *peers)

    def reports(self, host: str, incarnation: int, epoch: str) -> Any:
        said = super().reports(host, incarnation, epoch)
        return self._same(said, "reported", ["meta", "known", "reported"], host, incarnation, epoch)

    def first(self, who: Who, id_: str, proposed: int, now: int) -> Any:
        said = super().first(who, id_, proposed, now)
        return self._same(said, "first", ["meta", "firsts"], *who, id_, proposed, now)

    def exchange(self, who: Who, sequence: int, now: int, lapse: int, *, windows: Any, told: Any) -> Any:
        said = super().exchange(who, sequence, now, lapse, windows=windows, told=told)
        keys = ["meta", "live", "known", "reported", "ends", "firsts", *windows]
        host, incarnation, epoch = who
        return self._same(said, "exchange", keys, host, incarnation, sequence, epoch, now, lapse, *told)

    def live(self) -> tuple[str, ...]:
        said = super().live()
        assert said == tuple(sorted(host.decode() for host in self._client.zrange("live", 0, -1)))
        return said

    def leave(self, host: str) -> None:
        super().leave(host)
        self._client.zrem("live", host)

    def _same(self, said: Any, script: str, keys: list[str], *arguments: object) -> Any:
        assert plain(said) == plain(self._real[script](keys=keys, args=arguments)), (script, arguments)
        Both.asked += 1
        return said


def plain(said: Any) -> Any:
    """Numbers and text as Redis says them."""
    if isinstance(said, list | tuple):
        return [plain(each) for each in said]
    return said.decode() if isinstance(said, bytes) else str(said)


def simulated(clock: Clock) -> Server:
    return Server(clock, Costs())


@pytest.mark.parametrize("scenario", QUICK, ids=lambda scenario: scenario.name)
def test_the_model_decides_what_the_scripts_do(client: "Redis", scenario: Any) -> None:
    Both.asked = 0
    found = play(scenario, 5, lambda clock: Server(clock, Costs(), partial(Both, client)), per_host=4)
    assert Both.asked > 150
    assert found == play(scenario, 5, simulated, per_host=4), "the same seed, and the real scripts or not"
    assert found.seen.passed > 100
    assert found.windows <= scenario.budgets, "a host tells of its own windows alone"


def test_another_seed_is_another_run() -> None:
    assert run(seed=1) == run(seed=1)
    assert run(seed=1) != run(seed=2)


def test_hosts_refuse_wrongly_only_near_the_end_and_leave_next_to_nothing() -> None:
    found = run(hosts=20)
    assert found.left < 0.01
    assert found.wrong < 0.12
    assert found.seen.first_wrong_left is not None
    assert found.seen.first_wrong_left * found.scenario.money < 1.5, "seconds"


def test_redis_is_not_asked_on_behalf_of_those_who_were_refused() -> None:
    before, after = run(hosts=20).seconds[-2:]
    assert after.messages - before.messages < 20 * 8, "nothing is left, and all ask for it"


def test_what_is_due_soon_goes_along() -> None:
    [many] = [scenario for scenario in SCENARIOS if scenario.name == "many"]
    assert play(many, 4, simulated).windows > 2


def test_all_of_a_burst_pass() -> None:
    with counters() as found:
        cluster = Cluster(found, 3, [budget(0, 1000 * HELD)], simulated, seed=1)
        cluster.run(0)
        for _ in range(60):
            cluster.request(cluster.hosts[0], (0,))
        cluster.run(1)
    assert (cluster.seen.passed, cluster.seen.refused) == (60, 0)


@pytest.mark.parametrize("budgets", [1, 4])
def test_what_binds_a_request_comes_together(budgets: int) -> None:
    """The first one of a host waits for one answer, not for one of each budget."""
    with counters() as found:
        cluster = Cluster(found, 3, [budget(number, 1000 * HELD) for number in range(budgets)], simulated, seed=1)
        cluster.run(0)
        asked = cluster.server.calls["exchange"]
        cluster.request(cluster.hosts[0], tuple(range(budgets)))
        cluster.run(0.003)
        assert (cluster.seen.passed, cluster.server.calls["exchange"] - asked) == (1, 1)


def test_the_table_says_what_was_measured_of_a_real_redis() -> None:
    costs, version = measured(60)
    assert costs.window > 0
    assert costs.join > costs.message > 0
    assert version in costs_said(costs, version)
    assert "| alike | 5 |" in scenarios([run()])


def run(hosts: int = 5, seed: int = 1) -> Played:
    return play(SCENARIOS[0], hosts, simulated, seed=seed)
