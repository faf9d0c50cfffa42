"""The simulator's page names what there is, with the prices that are charged."""

import re
from pathlib import Path

import pytest

from fastgate.simulator.faults import KINDS
from fastgate.simulator.main import command
from fastgate.simulator.prices import PRICES, Rates
from fastgate.simulator.script import Script
from fastgate.simulator.tokens import TOKENIZERS

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def first_cells(text: str) -> set[str]:
    return {
        name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`([a-z_0-9]+)`", row)
    }


def test_every_field_of_a_script_is_described_and_no_other() -> None:
    assert first_cells(section("Scripts")) == set(Script.__struct_fields__)


def test_every_failure_is_described_and_no_other() -> None:
    assert first_cells(section("Failures")) == KINDS


def test_every_tokenizer_is_described() -> None:
    assert first_cells(section("Tokenizers")) >= set(TOKENIZERS)


def test_every_option_that_the_page_names_exists() -> None:
    options = {name for parameter in command.params for name in parameter.opts}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= options


@pytest.mark.parametrize("model", list(PRICES))
def test_the_prices_are_those_that_are_charged(model: str) -> None:
    def row(name: str, rates: Rates) -> str:
        return f"| {name} | " + " | ".join(f"{rate:.10f}".rstrip("0").rstrip(".") for rate in rates.vector()[:6]) + " |"

    shorter = re.sub(r"(\.\d*?)0+(?= \|)", r"\1", section("Models and prices")).replace(". |", " |")
    price = PRICES[model]
    assert row(model, price) in shorter
    if price.long_context is not None:
        above = f"{model} above {price.long_context.above_tokens:,} prompt tokens"
        assert row(above, price.long_context) in shorter
