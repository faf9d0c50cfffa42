"""What is kept with an answer is found by what is said of it, and by nothing else, whatever its texts look like."""

from collections.abc import Mapping

from hypothesis import example, given
from hypothesis import strategies as st

from fastgate.cache.about import NAMES, About, cut, said, unpacked

TEXTS = st.text('"\\,:[]{}abkey\n\x7f é€😀', max_size=12) | st.text(max_size=220)
TAG_NAMES = st.sampled_from(["a", "b", "feature"])
ABOUTS = st.builds(
    lambda texts, tags: About(**{**texts, "tags": tuple(tags.items())}),
    st.fixed_dictionaries({name: TEXTS.map(cut) if "model" in name else TEXTS for name in NAMES}),
    st.dictionaries(TAG_NAMES, TEXTS, max_size=3),
)


def is_said(about: About, name: str, *values: str) -> bool:
    return any(each in about.packed() for each in said(name, values))


@given(ABOUTS)
def test_it_is_read_as_it_was_kept(about: About) -> None:
    assert unpacked(about.packed()) == about


@given(ABOUTS, st.sampled_from(NAMES), TEXTS)
@example(About(key='x","team":"y'), "team", "y")
@example(About(team="y", key='"team":"y"'), "key", '"team":"y"')
@example(About(upstream_model="y"), "model", "y")
@example(About(model="m" * 200), "model", "m" * 300)
def test_a_name_says_what_it_is_and_nothing_else(about: About, name: str, text: str) -> None:
    have = getattr(about, name)
    wanted = cut(text) if "model" in name else text
    assert is_said(about, name, text) == (have == wanted)
    assert is_said(about, name, have)
    assert is_said(about, name, text, have)


@given(ABOUTS, TAG_NAMES, TEXTS)
@example(About(key='["a","1"]'), "a", "1")
@example(About(tags=(("a", '1"],["b","2'),)), "b", "2")
def test_so_does_a_tag(about: About, name: str, text: str) -> None:
    tags: Mapping[str, str] = dict(about.tags)
    assert is_said(about, f"tag:{name}", text) == (tags.get(name) == text)


def test_what_an_earlier_version_kept_is_read_and_what_is_none_says_nothing() -> None:
    earlier = b'{"key":"k","team":"t","model":"m","provider":"p","dialect":"d","tags":[["a","1"]]}'
    assert unpacked(earlier) == About("k", "t", "m", "", "p", "d", (("a", "1"),))
    assert unpacked(b"[") == unpacked(b'{"tags":[1]}') == About()
