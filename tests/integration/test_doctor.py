"""What the doctor finds when something is really wrong; and that it finds nothing else."""

import json
import os
import resource
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fastgate.backup.contents import RESTORING
from fastgate.doctor.folders import file_system
from fastgate.doctor.machine import lacks_cmpxchg16b
from fastgate.postgres.migrations import known, migrate
from tests.integration.test_arena_lost import ask
from tests.support import by_api
from tests.support.by_api import created
from tests.support.house import House, free_port, key, wait_for
from tests.support.postgres import PASSWORD, PostgresServer
from tests.support.redis_groups import PASSWORD as SERVERS_PASSWORD
from tests.support.redis_groups import SentinelGroup
from tests.support.redis_server import RedisServer
from tests.support.shared_hosts import copy_of

CHECKS = {
    "config", "versions", "processor", "open files", "clock", "state", "arena", "modes", "objects", "audit", "ledger",
    "ports", "providers",
}  # fmt: skip
SETTINGS = {"keys": [key("ide", budgets=[{"limit_usd": "9", "window": "week"}])]}
FEW = 256


class Report:
    """What the doctor said of a house: the exit code, and what is not well by its check."""

    def __init__(self, code: int, lines: list[dict[str, str]], said: str) -> None:
        self.code = code
        self.checks = {line["check"] for line in lines}
        self.bad = {line["check"]: line for line in lines if line["level"] in {"failed", "unreachable"}}
        self.said = said

    def only(self, check: str, words: str, code: int = 1) -> None:
        """Exactly that is wrong."""
        assert self.code == code, self.said
        assert set(self.bad) == {check}, self.said
        assert words in self.bad[check]["message"], self.said
        assert self.bad[check]["remedy"]


def doctor(house: House, *arguments: str, files: int | None = None) -> Report:
    command = [sys.executable, "-m", "fastgate.cli.main", "doctor", "--json", "--config", str(house.config)]
    command += ["--state-dir", str(house.state_dir), *arguments]
    command += ["--port", str(house.port), "--admin-port", str(house.admin_port)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, cwd=house.folder, env=house.environment,
        preexec_fn=None if files is None else lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)),
    )  # fmt: skip
    assert done.returncode in {0, 1, 4}, done.stderr
    assert done.stderr == ""
    return Report(done.returncode, json.loads(done.stdout), done.stdout)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("serving"), SETTINGS, workers=1, simulator={}) as house:
        yield house


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Served, and stopped; what its state folder was then lies beside it."""
    with House(tmp_path_factory.mktemp("stopped"), SETTINGS, workers=1, simulator={}) as house:
        made = [sys.executable, "-m", "fastgate.cli.main", "keys", "create", "--state-dir", str(house.state_dir)]
        for name in ("one", "two", "three"):
            subprocess.run([*made, name], check=True, capture_output=True)
        assert ask(house, "ide").status_code == 200
        house.settled()
        house.stop()
        shutil.copytree(house.state_dir, house.folder / "kept")
        yield house


@pytest.fixture
def stopped(healthy: House) -> House:
    shutil.rmtree(healthy.state_dir)
    shutil.copytree(healthy.folder / "kept", healthy.state_dir)
    healthy.write_config(SETTINGS)
    return healthy


def rewrite(house: House, **provider: Any) -> None:
    keys = [{"name": "k", "value": "provider-secret"}]
    house.write_config({**SETTINGS, "providers": {"p": {"keys": keys, **provider}}})


def test_nothing_is_wrong_with_a_gateway_that_serves(serving: House) -> None:
    report = doctor(serving)
    assert (report.code, report.bad) == (0, {}), report.said
    assert report.checks == {*CHECKS, "journals"}
    assert report.said.count("is served by this fastgate") == 2
    assert "ledger.duckdb is open" in report.said
    assert serving.admin_token not in report.said


def test_it_prints_a_line_for_each_finding(serving: House) -> None:
    command = [sys.executable, "-m", "fastgate.cli.main", "doctor", "--config", str(serving.config)]
    done = subprocess.run(
        [*command, "--state-dir", str(serving.state_dir)], capture_output=True, text=True, check=True, timeout=60
    )
    levels = [line.split()[0] for line in done.stdout.splitlines()]
    assert len(levels) > len(CHECKS)
    assert set(levels) <= {"ok", "warning"}


def test_nothing_is_wrong_with_one_that_is_stopped_and_nothing_is_changed(stopped: House) -> None:
    before = {path.name: path.read_bytes() for path in stopped.state_dir.iterdir() if path.suffix in {".db", ".duckdb"}}
    report = doctor(stopped)
    assert (report.code, report.checks) == (0, CHECKS), report.said
    assert report.said.count("is free") == 2
    assert "3 changes in an unbroken chain" in report.said
    assert {name: (stopped.state_dir / name).read_bytes() for name in before} == before
    assert not list(stopped.state_dir.glob("*.wal"))


def test_nothing_is_wrong_where_nothing_is_yet(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fastgate.cli.main", "doctor", "--json", "--port", str(free_port())]
    command += ["--admin-port", str(free_port())]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FASTGATE_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_somebody_else_has(stopped: House) -> None:
    with socket.create_server(("127.0.0.1", stopped.port)):
        doctor(stopped).only("ports", f"port {stopped.port} is in use")


def change_a_row(house: House) -> None:
    with closing(sqlite3.connect(house.state_dir / "state.db")) as db, db:
        db.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 2")


def remove_a_row(house: House) -> None:
    with closing(sqlite3.connect(house.state_dir / "state.db")) as db, db:
        db.execute("DELETE FROM audit WHERE seq = 2")


def damage_the_state(house: House) -> None:
    path = house.state_dir / "state.db"
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\xff" * (len(raw) - 4096)
    path.write_bytes(raw)


def damage_the_ledger(house: House) -> None:
    (house.state_dir / "ledger.duckdb").write_bytes(b"something else entirely" * 1000)


def newer_state(house: House) -> None:
    with closing(sqlite3.connect(house.state_dir / "state.db")) as db:
        db.execute("PRAGMA user_version = 99")


def newer_ledger(house: House) -> None:
    with duckdb.connect(str(house.state_dir / "ledger.duckdb")) as db:
        db.execute("INSERT INTO migrations VALUES (99, now()::TIMESTAMP)")


def open_a_secret(house: House) -> None:
    (house.state_dir / "admin-token").chmod(0o644)


def interrupt_a_restore(house: House) -> None:
    (house.state_dir / RESTORING).touch()


def set_the_clock_back(house: House) -> None:
    """As it looks from here: the files come from later."""
    later = time.time() + 3600
    os.utime(house.state_dir / "state.db", (later, later))


def make_a_mistake(house: House) -> None:
    house.write_config({**SETTINGS, "nonsense": 1})


BREAKS: list[tuple[Callable[[House], None], str, str]] = [
    (change_a_row, "audit", "row 2 was changed"),
    (remove_a_row, "audit", "row 2 is missing"),
    (damage_the_state, "objects", "state.db"),
    (damage_the_ledger, "ledger", "not a valid DuckDB database"),
    (newer_state, "objects", "schema 99, this version knows"),
    (newer_ledger, "ledger", "schema 99, this version knows"),
    (open_a_secret, "modes", "admin-token"),
    (interrupt_a_restore, "state", "was interrupted"),
    (set_the_clock_back, "clock", "after now"),
    (make_a_mistake, "config", "has 1 mistake"),
]


@pytest.mark.parametrize(("damage", "check", "words"), BREAKS)
def test_what_is_broken_is_found_and_nothing_else(
    stopped: House, damage: Callable[[House], None], check: str, words: str
) -> None:
    damage(stopped)
    doctor(stopped).only(check, words)


def test_a_chain_that_is_broken_while_it_serves(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        made = [sys.executable, "-m", "fastgate.cli.main", "keys", "create", "--state-dir", str(house.state_dir)]
        for name in ("one", "two"):
            subprocess.run([*made, name], check=True, capture_output=True)
        change = closing(sqlite3.connect(house.state_dir / "state.db"))
        with change as db, db:
            db.execute("UPDATE audit SET id = 'other' WHERE seq = 1")
        doctor(house).only("audit", "row 1 was changed")


def test_an_admin_api_that_does_not_say(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        (house.state_dir / "admin-token").write_text("another-one")
        doctor(house).only("ledger", "the admin API does not say", code=4)


def test_a_configuration_that_a_reload_refused(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        house.write_config({**SETTINGS, "output_cap": 0})
        with pytest.raises(AssertionError, match="422"):
            house.admin("config/reload", "POST")
        report = doctor(house)
        assert (report.code, set(report.bad)) == (1, {"config", "reload"}), report.said


def test_too_few_open_files(stopped: House) -> None:
    doctor(stopped, files=FEW).only("open files", f"{FEW}: enough for about {FEW // 2} requests")


def test_a_folder_that_cannot_be_written(stopped: House) -> None:
    report = doctor(stopped, "--state-dir", "/proc/fastgate-state")
    report.only("state", "/proc cannot be written")


def test_a_provider_that_does_not_listen_and_one_without_a_name(stopped: House) -> None:
    rewrite(stopped, type="openai", base_url=f"http://127.0.0.1:{free_port()}/v1")
    doctor(stopped).only("providers", "Connection refused", code=4)
    rewrite(stopped, type="openai", base_url="http://provider.invalid/v1")
    report = doctor(stopped)
    report.only("providers", "provider.invalid:80", code=4)
    assert "provider-secret" not in report.said
    rewrite(stopped, type="openai", proxy=f"http://user:proxy-secret@127.0.0.1:{free_port()}")
    report = doctor(stopped)
    report.only("providers", "its proxy 127.0.0.1", code=4)
    assert "proxy-secret" not in report.said


def test_a_provider_of_the_api_and_the_key_to_its_secrets(tmp_path: Path) -> None:
    with House(tmp_path, SETTINGS, workers=1, simulator={}) as house:
        keys = [{"name": "main", "value": "upstream-secret-two"}]
        with by_api.client(house) as api:
            base_url = f"http://127.0.0.1:{free_port()}/v1"
            created(api, "providers", id="of-the-api", type="openai", base_url=base_url, keys=keys)
        doctor(house).only("providers", "of-the-api: 127.0.0.1", code=4)
        house.stop()
        (house.state_dir / "state.key").unlink()
        report = doctor(house)
        assert (report.code, set(report.bad)) == (1, {"objects", "providers"}), report.said
        assert "key to 1 providers' secrets is missing" in report.said


def test_a_failure_counts_more_than_a_provider(stopped: House) -> None:
    rewrite(stopped, type="openai", base_url=f"http://127.0.0.1:{free_port()}/v1")
    open_a_secret(stopped)
    assert doctor(stopped).code == 1


def test_a_simulator_that_serve_would_start_is_no_fault(stopped: House) -> None:
    rewrite(stopped, type="sim", base_url=f"http://127.0.0.1:{free_port()}")
    report = doctor(stopped)
    assert report.code == 0, report.said
    assert "--with-simulator" in report.said


@contextmanager
def tls_server(folder: Path) -> Iterator[int]:
    """Accepts TLS with a certificate that its own file signs, ``ca.pem``; yields the port."""
    own, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    signed = (
        x509.CertificateBuilder(name, name, own.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(own, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(
        own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=shake_hands, args=(listener, context), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with closing(connection):
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                continue


def test_a_certificate_is_looked_at(stopped: House, tmp_path: Path) -> None:
    with tls_server(tmp_path) as port:
        rewrite(stopped, type="openai", base_url=f"https://127.0.0.1:{port}/v1")
        doctor(stopped).only("providers", "is not trusted")
        rewrite(stopped, type="openai", base_url=f"https://127.0.0.1:{port}/v1", ca_file=str(tmp_path / "ca.pem"))
        report = doctor(stopped)
        assert (report.code, "TLSv1.3" in report.said) == (0, True), report.said


def test_the_redis_that_hosts_share(stopped: House, tmp_path: Path) -> None:
    def share(port: int, password: str = "redis-secret") -> None:
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        stopped.write_config({**SETTINGS, "redis": {"url": url}, "cache": {"exact": {"shared": "redis"}}})

    with RedisServer(tmp_path, password="redis-secret") as server:
        share(server.port)
        report = doctor(stopped)
        assert (report.code, report.checks) == (0, {*CHECKS, "redis"}), report.said
        assert f"127.0.0.1:{server.port} answers within" in report.said or "requests give it" in report.said
        assert "redis-secret" not in report.said
        share(server.port, "a-wrong-one")
        doctor(stopped).only("redis", f"127.0.0.1:{server.port} refuses: ")
        share(server.port)
        server.hang()
        doctor(stopped).only("redis", f"127.0.0.1:{server.port}: ", code=4)
        server.go_on()
    doctor(stopped).only("redis", "Connection refused", code=4)


def test_clocks_that_differ_are_told(tmp_path: Path) -> None:
    [library] = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    ahead = {"LD_PRELOAD": str(library), "FAKETIME": "+7s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with RedisServer(tmp_path) as server:
        said = {**SETTINGS, "redis": {"url": server.url}}
        with House(tmp_path, said, workers=1, simulator={}, environment=ahead) as house:
            wait_for(lambda: house.admin("status")["leases"]["learning"] is False, 15, "Redis grants")
            said = doctor(house).said
            assert "this host is +7.0 s ahead of it" in said
            assert "this host's clock is +7.0 s ahead of Redis', and so are its windows" in said
            found = wait_for(lambda: house.admin("status")["leases"]["clock_ahead_ms"], 15, "status tells it")
            assert 6900 < found < 7100


def test_a_host_that_leases_nothing_is_told(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        said = {**SETTINGS, "redis": {"url": server.url}}
        with House(tmp_path, said, workers=1, simulator={}) as house:
            with copy_of(house, tmp_path / "copy", said) as copy:
                told = "another host goes by the name"
                wait_for(lambda: told in copy.admin("status")["leases"]["error"], 15, "it is refused")
                doctor(copy).only("leases", "this host gets none: another host goes by the name")
            server.kill()
            wait_for(lambda: house.admin("status")["leases"]["error"], 15, "it notices")
            report = doctor(house)
            assert (report.code, "this host gets none: Redis at" in report.said) == (4, True), report.said


def test_several_servers_of_which_one_is_shared(stopped: House, tmp_path: Path) -> None:
    def share(url: str) -> None:
        stopped.write_config({**SETTINGS, "redis": {"url": url}})

    away = f"127.0.0.1:{free_port()}"
    with SentinelGroup(tmp_path / "sentinels") as group:
        share(group.url.replace("@", f"@{away},"))
        report = doctor(stopped)
        assert (report.code, report.checks) == (0, {*CHECKS, "redis"}), report.said
        assert f"{away}: " in report.said
        assert "min-replicas-to-write" in report.said
        with group.owner.client() as client:
            client.config_set("min-replicas-to-write", 1)
        share(group.url)
        report = doctor(stopped)
        assert f", now 127.0.0.1:{group.owner.port} answers within" in report.said or "requests give it" in report.said
        assert SERVERS_PASSWORD not in report.said
    doctor(stopped).only("redis", "Connection refused", code=4)


def test_the_database_that_hosts_share(stopped: House, postgres: PostgresServer) -> None:
    database = postgres.fresh()

    def share(url: str) -> None:
        stopped.write_config({**SETTINGS, "postgres": {"url": url}})

    share(postgres.url(database))
    report = doctor(stopped)
    assert (report.code, report.checks) == (0, {*CHECKS, "postgres"}), report.said
    assert f"127.0.0.1:{postgres.port}/{database} answers within" in report.said
    assert "its tables are made at the next start" in report.said
    with postgres.client(database) as client:
        migrate(client)
        assert "this host has no copy" in doctor(stopped).said
        client.execute("INSERT INTO fastgate.migrations VALUES (%s, %s)", (len(known()) + 1, len(known()) + 1))
    doctor(stopped).only("postgres", "later version")
    assert PASSWORD not in report.said
    share(postgres.url(database).replace("hidden", "other"))
    doctor(stopped).only("postgres", "refuses: ")
    share(postgres.url("nowhere"))
    doctor(stopped).only("postgres", "refuses: ")
    with postgres.away():
        doctor(stopped).only("postgres", "onnection refused", code=4)


@pytest.fixture
def small_tmpfs(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_an_arena_without_room(stopped: House, small_tmpfs: Path) -> None:
    document = yaml.safe_load(stopped.config.read_text())
    stopped.config.write_text(yaml.safe_dump({**document, "arena_dir": str(small_tmpfs / "arena")}))
    doctor(stopped).only("arena", "2 MB free")


def test_processors_that_cannot_count() -> None:
    with_it, without = "flags\t\t: fpu cx8 cx16 lm\n", "flags\t\t: fpu cx8 lm\n"
    assert not lacks_cmpxchg16b("x86_64", with_it)
    assert lacks_cmpxchg16b("x86_64", with_it + without)
    assert not lacks_cmpxchg16b("aarch64", "Features\t: atomics\n")


def test_the_file_system_of_a_path(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "a / ext4 rw 0 0\nb /dev/shm tmpfs rw 0 0\nc /dev/shm2 xfs rw 0 0\nd /with\\040space zfs rw 0 0\n"
    )
    paths = ("/", "/dev/shm/a", "/dev/shm", "/dev/shm2", "/with space/a")
    assert [file_system(Path(path), mounts) for path in paths] == ["ext4", "tmpfs", "tmpfs", "xfs", "zfs"]


def test_the_endpoints_of_the_semantic_cache(stopped: House) -> None:
    def judged_at(base_url: str) -> None:
        embedder = {"type": "openai-compatible", "model": "m", "base_url": stopped.simulator.openai_url}
        judge = {"base_url": base_url, "model": "m", "key": "sk-secret-of-the-judge"}
        stopped.write_config({**SETTINGS, "cache": {"semantic": {"embedder": embedder, "judge": judge}}})

    judged_at(stopped.simulator.openai_url)
    report = doctor(stopped)
    assert (report.code, report.checks) == (0, {*CHECKS, "semantic"}), report.said
    assert "judge: 127.0.0.1" in report.said
    assert "sk-secret-of-the-judge" not in report.said
    judged_at(f"http://127.0.0.1:{free_port()}/v1")
    doctor(stopped).only("semantic", "judge: ", code=4)
    judged_at(f"http://127.0.0.1:{stopped.port}/v1")
    report = doctor(stopped)
    assert (report.code, "is this gateway, which does not run" in report.said) == (0, True), report.said
