"""Two workers against one: ratios are taken within a round, against one worker on the cores that the two had."""

import pytest

from loadtest.workers import ALONE, BOTH, CROWDED, Block, Found, Plan, markdown


def block(name: str, number: int, cpu: float, shares: list[float]) -> Block:
    return Block(name, number, cpu, shares, 500, 900)


@pytest.mark.parametrize(("both", "met"), [(57.0, True), (58.0, False)])
def test_a_ratio_weighs_each_core_by_its_share_of_the_requests(both: float, met: bool) -> None:
    found = Found()
    for number, slower in enumerate((1, 3, 2)):  # what disturbs a round disturbs all of it
        found.blocks.append(block(ALONE, number, 40.0 * slower, [1.0]))
        found.blocks.append(block(CROWDED, number, 60.0 * slower, [1.0]))
        found.blocks.append(block(BOTH, number, both * slower, [0.5, 0.5]))
    assert found.ratios() == pytest.approx([both / 50] * 3)
    assert [bound.met for bound in found.bounds()] == [met]
    assert f"| two workers, one on each | 50% : 50% | {2 * both:.1f} |" in markdown(found, Plan())
