"""A request for a model's answer, whatever the client's API: what routing and money need to know of it."""

import msgspec


class ChatRequest(msgspec.Struct, frozen=True, gc=False):
    """Read from a body by a dialect; the body itself stays bytes."""

    model: str
    """As the client wrote it: a public name or ``provider/model``."""
    stream: bool = False
    output_cap: int | None = None
    """The client's bound on output tokens, reasoning included, per choice; ``None``: not given."""
    cap_field: str | None = None
    """The member that gave it."""
    n: int = 1
    """Choices asked for; each is billed."""
    include_usage: bool | None = None
    """Whether a stream shall report its usage; ``None``: not said, or the API has no such switch."""
    thinking_budget: int | None = None
    """Tokens that the client sets aside for reasoning; the output cap must exceed them."""
    reasons: bool | None = None
    """Asked to reason, of which the answer need not show anything; False: asked not to; None: nothing said."""
    service_tier: str | None = None
    fast: bool = False
    """Asked for the faster, dearer speed of the same model."""
    geo: str | None = None
    """Region that inference is asked to stay in."""
    has_tools: bool = False
    has_hosted_tools: bool = False
    """The provider may run tools of its own (web search, code): fees and input that the body does not show."""
    unseen: str = ""
    """What the body names and does not show, such as a file by its id: its tokens are known to the provider only."""
    beside: str = ""
    """What the provider may bill beside the answer, such as another model's attempt; empty: nothing."""
    other_models: tuple[str, ...] = ()
    """Models of the provider's, by its own names, that the request lets it run beside the one that it is for."""
    has_audio_output: bool = False
    text_bytes: int = 0
    """UTF-8 bytes of all strings of the body but images' data: no tokenizer makes more tokens than bytes of it."""
    images: int = 0
    image_bytes: int = 0
    """UTF-8 bytes of images' data or addresses."""
    prediction_bytes: int = 0
    """Of predicted output; what of it is rejected is billed as output."""
    user: str | None = None
    session: str | None = None
    metadata: bytes | None = None
    """The client's free-form object as JSON text, for attribution."""
