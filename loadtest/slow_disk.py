"""A disk that is slow when it is told to be, for the processes that a library is loaded into: ``slow_disk.c``."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("slow_disk.c")


class SlowDisk:
    """``variables``: of the environment of processes whose disk it is. It is as fast as ever until told otherwise."""

    def __init__(self, folder: Path) -> None:
        """``folder``: where the library is built, which takes a compiler."""
        library = folder / "slow_disk.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
        self._delay = folder / "slow_disk"
        self._delay.touch()
        self.variables: Mapping[str, str] = {"LD_PRELOAD": str(library), "SLOW_DISK": str(self._delay)}

    @contextmanager
    def slow(self, milliseconds: int) -> Iterator[None]:
        """For the block every call takes so much longer."""
        self._delay.write_bytes(bytes(milliseconds))
        try:
            yield
        finally:
            self._delay.write_bytes(b"")
