"""The disjoint buckets that every provider's usage is brought to, and what else decides a price.

The numbers are positions in the compiled ``Usage`` and ``PriceTable``; they are persisted, never renumber them.
"""

from enum import IntEnum
from typing import Final

N_BUCKETS: Final = 16


class Bucket(IntEnum):
    """What is counted; each token is in exactly one bucket."""

    INPUT = 0  # fresh text input
    CACHE_READ = 1  # but audio and images, where their part is reported
    CACHE_WRITE = 2  # default lifetime: 5 or 30 minutes
    CACHE_WRITE_1H = 3
    OUTPUT = 4  # without reasoning and audio
    REASONING = 5
    AUDIO_INPUT = 6
    AUDIO_OUTPUT = 7
    IMAGE_INPUT = 8
    WEB_SEARCH = 9  # requests, not tokens
    REQUEST = 10  # a fixed fee: count 1
    CACHE_READ_AUDIO = 11
    CACHE_READ_IMAGE = 12
    FILE_SEARCH = 13  # calls, not tokens
    AUDIO_TIME = 14  # microseconds of audio, where its length is billed and not its tokens
    CHARACTER = 15  # of a text to be spoken, not tokens


class Tier(IntEnum):
    """The service tier that served the request, as the answer reports it."""

    STANDARD = 0
    FLEX = 1
    PRIORITY = 2
    BATCH = 3
    FAST = 4  # Anthropic ``speed: fast``
    ULTRAFAST = 5


class Geo(IntEnum):
    """Where inference was pinned to."""

    GLOBAL = 0
    US = 1


PROMPT_BUCKETS: Final = (
    Bucket.INPUT,
    Bucket.CACHE_READ,
    Bucket.CACHE_WRITE,
    Bucket.CACHE_WRITE_1H,
    Bucket.AUDIO_INPUT,
    Bucket.IMAGE_INPUT,
    Bucket.CACHE_READ_AUDIO,
    Bucket.CACHE_READ_IMAGE,
)
"""The buckets whose sum is the prompt total that long-context thresholds are compared with."""

FEES: Final = frozenset({Bucket.WEB_SEARCH, Bucket.REQUEST, Bucket.FILE_SEARCH})
"""What is paid per request of its kind and not per token: no region and no factor of a tier multiplies it."""

LENGTHS: Final = frozenset({Bucket.AUDIO_TIME, Bucket.CHARACTER})
"""What is billed in place of tokens: where no price is stated for it, none can stand in."""

US_PER_HOUR: Final = 3_600_000_000
"""``AUDIO_TIME`` is counted in microseconds and priced by the hour: prices by the second are seldom whole femto-USD."""
