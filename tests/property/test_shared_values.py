"""What one host writes for others: it comes back as it was, for its question alone, and not with another byte."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgate._core.slab import LARGEST
from fastgate.cache.about import About
from fastgate.cache.question import STREAM, UNSTATED, WHOLE, packed
from fastgate.cache.shared import HEAD, LONGEST, Kept, Unusable, about_of, key_of, outlined, read, size_of, written

MOMENTS = st.integers(0, (1 << 42) - 1)
TOLD = st.builds(About, key=st.text(max_size=9), tags=st.just((("a", "b"),)) | st.just(())).map(About.packed)


@st.composite
def entries(draw: st.DrawFn) -> Kept:
    created, expires = sorted((draw(MOMENTS), draw(MOMENTS)))
    usage = packed(draw(st.integers(0, 10**15)), draw(st.binary(max_size=40)))
    kind = draw(st.sampled_from([WHOLE, STREAM, UNSTATED]))
    return Kept(kind, usage, draw(TOLD), draw(st.binary(max_size=300)), created, expires)


@given(st.binary(max_size=200), entries())
def test_it_comes_back_as_it_was(fingerprint: bytes, kept: Kept) -> None:
    value = written(fingerprint, kept)
    assert len(value) == size_of(fingerprint, kept)
    assert read(value, fingerprint) == kept


@given(st.binary(max_size=200), entries())
def test_what_it_is_about_is_found_without_the_rest(fingerprint: bytes, kept: Kept) -> None:
    value = written(fingerprint, kept)
    outline = outlined(value[:HEAD])
    assert outline.created_ms == kept.created_ms
    assert about_of(value[outline.about_at : outline.about_at + outline.about_bytes]) == kept.about


@given(st.binary(max_size=HEAD + 1) | st.binary(min_size=HEAD - 4, max_size=HEAD - 4).map(b"FGA1".__add__))
def test_of_any_bytes_there_is_an_outline_or_none(head: bytes) -> None:
    try:
        outline = outlined(head)
    except Unusable:
        return
    assert outline.about_at >= HEAD
    assert 0 <= outline.about_bytes <= 0xFFFF


@given(st.binary(max_size=60), st.binary(max_size=60), entries())
def test_another_question_gets_nothing(fingerprint: bytes, other: bytes, kept: Kept) -> None:
    assert (key_of("prod", fingerprint) == key_of("prod", other)) == (fingerprint == other)
    if fingerprint != other:
        with pytest.raises(Unusable):
            read(written(fingerprint, kept), other)


@given(st.binary(max_size=60), entries(), st.randoms(use_true_random=False))
def test_another_byte_anywhere_is_noticed(fingerprint: bytes, kept: Kept, chance: random.Random) -> None:
    value = bytearray(written(fingerprint, kept))
    value[chance.randrange(len(value))] ^= 1 << chance.randrange(8)
    with pytest.raises(Unusable):
        read(bytes(value), fingerprint)


@given(st.binary(max_size=60), entries(), st.data())
def test_a_piece_or_more_is_noticed(fingerprint: bytes, kept: Kept, data: st.DataObject) -> None:
    value = written(fingerprint, kept)
    with pytest.raises(Unusable):
        read(value[: data.draw(st.integers(0, len(value) - 1))], fingerprint)
    with pytest.raises(Unusable):
        read(value + data.draw(st.binary(min_size=1, max_size=9)), fingerprint)


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": 3},
        {"usage": bytes(7)},
        {"usage": packed(10**15 + 1, b"")},
        {"about": b""},
        {"about": b"[]"},
        {"about": b"{"},
        {"about": b'"\xff"'},
        {"about": b"[" * 60_000},
        {"about": b'{"tags": ' + b"[" * 60_000},
        {"about": b'{"key": 1}'},
        {"about": b'{"key": "' + b"k" * 65_500 + b'"}'},
        {"created_ms": -1},
        {"created_ms": 2001},
        {"expires_ms": 1 << 42},
    ],
    ids=str,
)
def test_what_no_answer_says_is_not_believed(changed: dict[str, object]) -> None:
    kept = Kept(WHOLE, packed(1, b""), About().packed(), b"answer", 1000, 2000)
    assert read(written(b"asked", kept), b"asked") == kept
    with pytest.raises(Unusable):
        read(written(b"asked", kept._replace(**changed)), b"asked")


def test_what_it_is_about_is_as_this_version_writes_it() -> None:
    """What later versions say besides is left out, and nothing can stand there that looks like another name."""
    told = b'{ "later": {"key":"other"}, "key":"\\u0069de" }'
    kept = Kept(WHOLE, packed(1, b""), told, b"answer", 1000, 2000)
    assert read(written(b"asked", kept), b"asked") == kept._replace(about=About(key="ide").packed())


def test_the_longest_that_a_host_keeps_is_read_and_nothing_longer() -> None:
    kept = Kept(WHOLE, packed(1, b""), About().packed(), b"", 1000, 2000)
    longest = kept._replace(answer=bytes(LONGEST - size_of(b"asked", kept)))
    assert size_of(b"asked", longest) == LONGEST > LARGEST
    assert read(written(b"asked", longest), b"asked") == longest
    with pytest.raises(Unusable):
        read(written(b"asked", longest._replace(answer=longest.answer + b"x")), b"asked")


def test_keys_are_the_same_in_every_process_and_version() -> None:
    """Hosts of two versions would else keep everything twice; the hash is BLAKE2b's, of 128 bits."""
    assert key_of("prod", b"") == "fastgate:prod:cache:cae66941d9efbd404e4d88758ea67670"
    assert key_of("prod", b"a") != key_of("other", b"a")
