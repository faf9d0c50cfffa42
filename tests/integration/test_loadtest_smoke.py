"""The rig of ``make bench-system`` in a reduced form: its figures are real, and wrong answers make it void."""

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from loadtest import clients, figures, house, stage, subjects, wrk
from loadtest.errors import RigError

ROOT = Path(__file__).parents[2]
REDUCED = ["--seconds", "1", "--runs", "1", "--sizes", "1", "--streams", "40", "--chunks", "20", "--chunk-ms", "5"]
SUBJECTS = {figures.ALONE, figures.NGINX, figures.BARE, figures.FASTGATE}


def tables(markdown: str) -> list[list[list[str]]]:
    """Every table: rows of cells, the head first and without the rule below it."""
    found = re.findall(r"(?:^\|.*\|$\n?)+", markdown, re.MULTILINE)
    rows = [[[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()] for table in found]
    return [[table[0], *table[2:]] for table in rows]


def test_every_figure_is_there_and_none_is_zero(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    command = [sys.executable, "-m", "loadtest", *REDUCED, "--json", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr

    requests, processes, streams, promises = tables(done.stdout)
    assert {row[0] for row in requests[1:]} == {*SUBJECTS, "fastgate : nginx"}
    assert {row[0] for row in streams[1:]} >= {figures.BARE, figures.FASTGATE, figures.HIDDEN}
    assert len(promises[1:]) == 8
    assert all(row[-1] in {"yes", "NO"} for row in promises[1:])
    head = processes[0]
    idle = head.index("supervisor")  # it has nothing to do
    cells = [cell for table in (requests, streams) for row in table[1:] for cell in row[1:] if cell]
    cells += [cell for row in processes[1:] for column, cell in enumerate(row[1:], 1) if column != idle]
    assert len(cells) > 20
    assert all(float(cell.replace(",", "")) > 0 for cell in cells)

    document: dict[str, Any] = json.loads(kept.read_text())
    counts = {(run["subject"], run["prompt_kb"]): run["count"] for run in document["runs"]}
    assert all(counts[subject, 1] > 100 for subject in SUBJECTS)
    assert counts[figures.FASTGATE, 0] == counts[figures.BARE, 0] == 40 * 10 * 20
    assert document["plan"]["seconds"] == 1
    assert min(run["private_bytes"] for run in document["runs"] if run["subject"] == figures.FASTGATE) > 1 << 20
    for text in ("machine", "kernel", "versions", "date", "method"):
        assert f"* {text}: " in done.stdout


class Refusing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(500, "")

    def answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        with suppress(ConnectionError):  # wrk leaves in the middle of an answer
            self.end_headers()
            self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


class Repeating(Refusing):
    """Answers with what it was told in a header."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(200, f"I was told {self.headers['x-told']}.")


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def refusing() -> Iterator[int]:
    with serving(Refusing) as port:
        yield port


def test_answers_other_than_200_make_a_run_void(refusing: int) -> None:
    with pytest.raises(RigError, match="status 200"):
        wrk.load(refusing, prompt_bytes=1024, model="m", key="k", connections=1, seconds=1)


@pytest.mark.parametrize(("told", "right"), [("some.thing", True), ("something", False)])
def test_answers_without_their_text_make_a_run_void(told: str, right: bool) -> None:
    def load(port: int) -> wrk.Loaded:
        asked = {"prompt_bytes": 1024, "model": "m", "key": "k", "connections": 1, "seconds": 1}
        return wrk.load(port, **asked, headers={"x-told": told}, text="some.thing")  # type: ignore[arg-type]

    with serving(Repeating) as port:
        if right:
            assert load(port).requests > 10
        else:
            with pytest.raises(RigError, match="'wrong': "):
                load(port)


def test_an_answer_that_is_not_the_constant_one_makes_a_block_void(refusing: int) -> None:
    with pytest.raises(RigError, match="500 Internal"):
        clients.ask(refusing, clients.prompts(1024), count=10, connections=2, clock=lambda: 0.0)


def test_an_answer_that_is_cut_makes_a_block_void() -> None:
    def hang_up(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            connection.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up, args=(listener,))
        thread.start()
        with pytest.raises(RigError, match="was cut"):
            clients.ask(listener.getsockname()[1], clients.prompts(1024), count=10, connections=1, clock=lambda: 0.0)
        thread.join()


class Ledger:
    """In the place of a House: what the ledger says, before and after."""

    worker = 1

    def __init__(self, before: house.Booked, after: house.Booked) -> None:
        self._before = before
        self._after = after

    def booked(self, provider: str) -> house.Booked:
        return self._before

    def settled(self, provider: str, requests: int) -> house.Booked:
        assert requests == 15
        return self._after


ONE = house.price(house.CONSTANT, 12)


@pytest.mark.parametrize(
    ("after", "right"),
    [
        (house.Booked(15, 15 * ONE, 0), True),
        (house.Booked(14, 14 * ONE, 0), False),
        (house.Booked(16, 16 * ONE, 0), False),
        (house.Booked(15, 15 * ONE - Decimal("0.000000001"), 0), False),
        (house.Booked(15, 15 * ONE, 1), False),
    ],
    ids=["equal", "a row is missing", "a row too many", "a nano-dollar is missing", "one is an estimate"],
)
def test_a_ledger_that_differs_makes_a_run_void(after: house.Booked, right: bool) -> None:
    ledger = cast(house.House, Ledger(house.Booked(5, 5 * ONE, 0), after))
    audit = subjects.Audit(ledger, house.CONSTANT, stage.Subject("fastgate", 1, {"subject": 1}))
    audit.settle(10)
    if right:
        audit.compare(10, 12)
    else:
        with pytest.raises(RigError, match="the ledger has"):
            audit.compare(10, 12)
