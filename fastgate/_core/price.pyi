"""Usage in disjoint buckets, and the price table that turns it into nano-USD."""

from typing_extensions import Buffer

ANY_TIER: int
UNASKED_TIERS: int
BUCKET_NAMES: tuple[str, ...]

class Usage:
    tier: int
    geo: int
    estimated: bool
    def __init__(
        self,
        *,
        tier: int = 0,
        geo: int = 0,
        estimated: bool = False,
        input: int = 0,
        cache_read: int = 0,
        cache_write: int = 0,
        cache_write_1h: int = 0,
        output: int = 0,
        reasoning: int = 0,
        audio_input: int = 0,
        audio_output: int = 0,
        image_input: int = 0,
        web_search: int = 0,
        request: int = 0,
        cache_read_audio: int = 0,
        cache_read_image: int = 0,
        file_search: int = 0,
        audio_time: int = 0,
        character: int = 0,
    ) -> None: ...
    def __getitem__(self, bucket: int) -> int: ...
    def __setitem__(self, bucket: int, count: int) -> None: ...
    def __eq__(self, other: object) -> bool: ...
    def as_dict(self) -> dict[str, int]: ...
    def prompt_total(self) -> int: ...

class PriceTable:
    count: int
    def __init__(self, buffer: Buffer) -> None: ...
    def __len__(self) -> int: ...
    def cost(self, model: int, usage: Usage, at_ns: int) -> int: ...
    def charge(self, model: int, usage: Usage, at_ns: int, geo: int) -> int: ...
    def bound(
        self,
        model: int,
        input_tokens: int,
        output_tokens: int,
        at_ns: int,
        tier: int = -1,
        geo: int = -1,
        searches: int = 0,
        media: bool = True,
        audio_us: int = 0,
        characters: int = 0,
    ) -> int: ...
    def lines(self, model: int, usage: Usage, at_ns: int) -> list[tuple[int, int, int, int]]: ...
    def has_tier(self, model: int, tier: int, at_ns: int) -> bool: ...
