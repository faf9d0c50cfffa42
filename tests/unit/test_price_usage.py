"""Usage: disjoint counts per bucket."""

import pytest

from fastgate._core.price import BUCKET_NAMES, Usage
from fastgate.wire.usage import N_BUCKETS, PROMPT_BUCKETS, Bucket, Geo, Tier


def test_the_core_and_the_wire_agree_on_the_buckets() -> None:
    assert tuple(bucket.name.lower() for bucket in Bucket) == BUCKET_NAMES
    assert all(Usage(**{name: 1})[bucket] == 1 for bucket, name in enumerate(BUCKET_NAMES))
    assert [int(bucket) for bucket in Bucket] == list(range(len(Bucket)))


def test_counts_by_name_and_position() -> None:
    usage = Usage(input=3, cache_write_1h=4, output=5, tier=Tier.FLEX, geo=Geo.US, estimated=True)

    assert usage[Bucket.INPUT] == 3
    assert usage[Bucket.CACHE_WRITE_1H] == 4
    assert usage[Bucket.CACHE_READ] == 0
    assert usage.as_dict() == {"input": 3, "cache_write_1h": 4, "output": 5}
    assert (usage.tier, usage.geo, usage.estimated) == (Tier.FLEX, Geo.US, True)
    assert repr(usage) == "Usage(input=3, cache_write_1h=4, output=5, tier=1, geo=1, estimated=True)"


@pytest.mark.parametrize("bucket", list(Bucket))
def test_the_prompt_total_is_the_sum_of_the_prompt_buckets(bucket: Bucket) -> None:
    usage = Usage()
    usage[bucket] = 7

    assert usage.prompt_total() == (7 if bucket in PROMPT_BUCKETS else 0)


def test_the_prompt_total_saturates_instead_of_wrapping() -> None:
    assert Usage(input=2**63 - 1, cache_read=2**63 - 1).prompt_total() == 2**63 - 1


def test_equality_covers_every_field() -> None:
    assert Usage(input=1) == Usage(input=1)
    assert Usage(input=1) != Usage(output=1)
    assert Usage(input=1) != Usage(input=1, tier=Tier.BATCH)
    assert Usage(input=1) != Usage(input=1, geo=Geo.US)
    assert Usage(input=1) != Usage(input=1, estimated=True)
    assert Usage(input=1) != {"input": 1}


def test_a_recycled_object_starts_empty() -> None:
    # Usage objects come from a freelist.
    for _ in range(200):
        usage = Usage(input=5, tier=Tier.FAST)
        del usage
        assert Usage() == Usage(input=0)


@pytest.mark.parametrize("bucket", [-1, N_BUCKETS])
def test_a_position_outside_is_an_error(bucket: int) -> None:
    with pytest.raises(IndexError):
        Usage()[bucket]
    with pytest.raises(IndexError):
        Usage()[bucket] = 1


def test_negative_counts_and_unknown_names_are_errors() -> None:
    with pytest.raises(ValueError, match="negative"):
        Usage(input=-1)
    with pytest.raises(TypeError, match="prompt_tokens"):
        Usage(prompt_tokens=1)
    with pytest.raises(OverflowError):
        Usage(input=2**63)
