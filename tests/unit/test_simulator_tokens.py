"""The simulator's tokenizers and its made-up texts."""

import pytest

from fastgate.simulator.tokens import TOKENIZERS, Prompt, sentence


@pytest.mark.parametrize(
    ("tokenizer", "tokens"),
    [("quarter", 2), ("byte", 6), ("hostile", 6 + 4 + 4 + 16)],
)
def test_a_message(tokenizer: str, tokens: int) -> None:
    prompt = Prompt(texts=["héllo"], names=["user"], messages=1)
    assert TOKENIZERS[tokenizer].prompt(prompt) == tokens


@pytest.mark.parametrize(("tokenizer", "image"), [("quarter", 85), ("byte", 765), ("hostile", 48_169)])
def test_an_image(tokenizer: str, image: int) -> None:
    without, with_two = Prompt(["abcd"], []), Prompt(["abcd"], [], images=2)
    count = TOKENIZERS[tokenizer].prompt
    assert count(with_two) - count(without) == 2 * image


def test_texts_are_counted_together_not_each_rounded_up() -> None:
    assert TOKENIZERS["quarter"].prompt(Prompt(["a", "b", "c", "d"], [])) == 1


def test_a_prompt_has_at_least_one_token() -> None:
    assert TOKENIZERS["byte"].prompt(Prompt([], [])) == 1


def test_the_hostile_one_charges_for_tools_and_names() -> None:
    count = TOKENIZERS["hostile"].prompt
    assert count(Prompt(["{}"], ["user", "bob"], messages=2, has_tools=True)) == 2 + 7 + 8 + 16 + 350


@pytest.mark.parametrize("characters", [0, 1, 5, 10_000, 100_000])
@pytest.mark.parametrize("seed", [0, 17, 2**62])
def test_a_sentence_has_its_length_and_needs_no_escape(seed: int, characters: int) -> None:
    text = sentence(seed, characters)
    assert len(text) == characters
    assert sentence(seed, characters) == text
    assert all(letter.isalpha() or letter == " " for letter in text)


def test_other_seeds_say_other_things() -> None:
    assert len({sentence(seed, 40) for seed in range(10)}) == 10
