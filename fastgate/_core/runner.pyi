from asyncio import AbstractEventLoop
from typing import final

@final
class Runner:
    """The runs of one event loop, in its thread."""

    loop: AbstractEventLoop
    running: Run | None
    """The one whose step this is; None between steps."""

    def __init__(self, loop: AbstractEventLoop) -> None: ...

class Run:
    """One coroutine that a server serves a request with."""

    def cancel(self) -> bool:
        """As a task's: CancelledError is raised where it waits. Returns whether it has not ended yet."""
