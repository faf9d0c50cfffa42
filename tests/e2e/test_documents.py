"""What the documents tell a reader to do, done as it stands: every block that can be run, against a real gateway."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from fastgate.simulator.process import Simulator
from tests.support.by_api import client
from tests.support.documents import PAGES, ROOT, RUNNABLE, SECONDS, SHOWN, Block, Terminal, blocks
from tests.support.house import House, free_port, key, secret, wait_for

ELSEWHERE = {"agents.md"}
"""Its blocks are run by test_agents.py, which counts them."""
README, *_ = PAGES
ALONE = {README.name, "reconciliation.md"}
"""Their commands are run on a gateway of their own: what they show is all that it did."""
BLOCKS = [block for page in PAGES for block in blocks(page)]
HERE = [block for block in BLOCKS if block.is_run and block.page not in ELSEWHERE]
MADE_BY_API = ("keys", "teams", "customers", "prices", "models", "providers")
"""Each before what it may name."""


def of(page: str, *languages: str) -> list[Block]:
    return [block for block in HERE if block.page == page and block.language in languages]


def put(text: str, places: Mapping[str, str]) -> str:
    """A block with this machine's addresses and files in place of the page's."""
    for theirs, ours in places.items():
        text = text.replace(theirs, ours)
    return text


# ---- the front page


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder that looks like a fresh clone in which `make setup` was called."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.name not in {"fastgate-state", "fastgate.yaml", ".git"}:
            (folder / path.name).symlink_to(path)
    return folder


@contextmanager
def first_terminal(command: str, folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Carries out a block that serves until the end."""
    process = subprocess.Popen(
        ["/bin/sh", "-ec", f"exec {command}"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert any("admin token" in line for line in process.stdout), "the first screen is not complete"
        yield
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)


def test_the_front_page_from_a_clone_to_the_spend_of_a_call(clone: Path) -> None:
    served, *rest = of("README.md", "sh")
    api, admin = free_port(), free_port()
    ports = {"FASTGATE_PORT": str(api), "FASTGATE_ADMIN_PORT": str(admin), "FASTGATE_WORKERS": "1"}
    with Simulator(seed=7) as provider:
        places = {
            "http://127.0.0.1:8080": f"http://127.0.0.1:{api}",
            "http://127.0.0.1:8081": f"http://127.0.0.1:{admin}",
            "http://127.0.0.1:9000/v1": provider.openai_url,
        }
        with first_terminal(served.text, clone, ports), Terminal(clone) as terminal:
            for block in rest:
                text = put(block.text, places)
                printed = terminal.run(text)
                if "/spend?" in text:
                    sees_what_is_billed(terminal, text, provider)
        assert provider.bill()["total"]["requests"] == 1
    assert "fastgate.yaml: ok" in printed


def sees_what_is_billed(terminal: Terminal, text: str, provider: Simulator) -> None:
    """The block that shows the spend shows the provider's bill, from the command and from the API; soon, at least."""
    wait_for(lambda: '"laptop"' in terminal.run(text), 10, "what the call cost")
    printed = terminal.run(text)
    [cost] = set(re.findall(r'"cost_usd":"([\d.]+)"', printed))
    assert Decimal(cost) == Decimal(provider.bill()["total"]["usd"])
    assert re.search(rf"^platform +laptop +smart .* {cost} ", printed, re.MULTILINE)


# ---- all other pages


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house"), {"keys": [key("reader")]}, workers=1) as house:
        yield house


@pytest.fixture
def house(running: House) -> Iterator[House]:
    """The house; what a page made by the API goes when it has been read."""
    yield running
    with client(running) as api:
        for collection in MADE_BY_API:
            for made in api.get(f"/{collection}").json()["items"]:
                if made["origin"] == "api":
                    assert api.delete(f"/{collection}/{made['id']}").status_code == 204


@pytest.fixture
def places(house: House) -> dict[str, str]:
    """What is elsewhere here than on the pages."""
    return {
        "http://127.0.0.1:8080": house.url,
        "http://127.0.0.1:8081": house.admin_url,
        "http://127.0.0.1:9000": house.simulator.url,
        "<virtual key>": secret("reader"),
    }


@pytest.mark.parametrize("page", sorted({block.page for block in HERE if block.language == "sh"} - ALONE))
def test_the_commands_of_a_page_work_one_after_another(
    house: House, places: Mapping[str, str], tmp_path: Path, page: str
) -> None:
    (tmp_path / "fastgate-state").symlink_to(house.state_dir)
    (tmp_path / "fastgate.yaml").symlink_to(house.config)
    with Terminal(tmp_path) as terminal:
        for block in of(page, "sh"):
            terminal.run(put(block.text, places))
            if "-USR2" in block.text:  # it does not wait for what it asks for
                wait_for(lambda: "every process is renewed" in house.log.read_text(), 30, "everything is renewed")


def test_the_page_on_reconciliation_from_a_call_to_an_equal_bill(tmp_path: Path) -> None:
    call, reconciled = of("reconciliation.md", "sh")
    (tmp_path / "fastgate-state").symlink_to(tmp_path / "state")
    with House(tmp_path, {"keys": [key("reader")]}, workers=1) as house, Terminal(tmp_path) as terminal:
        places = {"http://127.0.0.1:8080": house.url, "http://127.0.0.1:9000": house.simulator.url}
        terminal.run(put(call.text, {**places, "<virtual key>": secret("reader")}))
        house.drained(1)
        printed = terminal.run(put(reconciled.text, places))
    assert "the simulator's bill against provider sim: equal" in printed
    [shown] = [block for block in blocks(ROOT / "docs" / "reconciliation.md") if block.language == "text"]
    today = re.compile(r"20\d\d-\d\d-\d\d")
    assert today.sub("", printed) == today.sub("", shown.text)


@pytest.mark.parametrize("block", [b for b in HERE if b.language == "python"], ids=lambda b: b.page)
def test_programs_run(places: Mapping[str, str], block: Block) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", put(block.text, places)], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("block", [b for b in HERE if b.language == "yaml"], ids=lambda b: f"{b.page}-{b.heading}")
def test_configurations_are_valid(tmp_path: Path, block: Block) -> None:
    named = set(re.findall(r"\$\{([A-Z_]+)\}", block.text))
    environment = {name: f"sk-fg-the-value-of-{name}" for name in named}
    text = block.text
    for path in re.findall(r"\$\{file:(.+?)\}", text):
        here = tmp_path / Path(path).name
        here.write_text(f"sk-fg-the-contents-of-{here.name}\n")
        text = text.replace(path, str(here))
    (tmp_path / "fastgate.yaml").write_text(text)
    with Terminal(tmp_path, environment) as terminal:
        terminal.run("fastgate check")


# ---- what is drawn

CHARTS = [block for block in BLOCKS if block.language == "mermaid"]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: f"{chart.page}: {chart.heading}")
def test_charts_show_what_the_tables_say(chart: Block) -> None:
    labels = json.loads(re.findall(r"x-axis (\[.+\])", chart.text)[0])
    bars = [json.loads(bar) for bar in re.findall(r"bar (\[.+\])", chart.text)]
    rows = [line for line in (ROOT / "docs" / chart.page).read_text().splitlines() if line.startswith("|")]
    assert bars
    for label, *values in zip(labels, *bars, strict=True):
        row = next(row for row in rows if label.lower().split(",")[0] in row.lower() and f" {values[0]:,} " in row)
        assert all(f" {value:,} " in row for value in values)


# ---- none is left out


def test_every_block_can_be_read_as_what_it_is() -> None:
    assert len(HERE) > 20
    assert not {block.language for block in BLOCKS} - RUNNABLE - SHOWN
    fences = sum(len(re.findall(r"^ *```", page.read_text(), re.MULTILINE)) for page in PAGES)
    assert fences == 2 * len(BLOCKS)


def test_what_is_not_run_says_why_and_is_the_exception() -> None:
    excused = [block for block in BLOCKS if block.excuse]
    assert sum(page.read_text().count("<!-- not run") for page in PAGES) == len(excused)
    assert all(block.language in RUNNABLE for block in excused)
    assert len(excused) <= len(HERE) / 4


def test_every_page_whose_blocks_are_run_elsewhere_is_one() -> None:
    assert {block.page for block in BLOCKS} >= ELSEWHERE
