"""CPU of a whole request, sockets and kernel included, as a multiple of what nginx takes as a proxy in the same run."""

from pathlib import Path
from tempfile import mkdtemp

import pytest

from benchmarks.gates import Gates
from benchmarks.planted import planted
from loadtest.beside import measure, times_nginx
from loadtest.trees import HERE, Tree

ROUNDS = 7
PROOF_ROUNDS = 3
PLANTED = "for _ in range(4_000):\n    pass\n"
"""About as much as the whole request takes."""


@pytest.mark.timeout(300)
def test_a_request_beside_nginx(gates: Gates, tmp_path: Path) -> None:
    slower = Tree(planted(tmp_path, [("fastgate/gateway/pipeline.py", "serve")], PLANTED), HERE.python)

    def found() -> float:
        return times_nginx(measure(HERE, Path(mkdtemp(dir=tmp_path)), ROUNDS))

    def slow() -> float:
        return times_nginx(measure(slower, Path(mkdtemp(dir=tmp_path)), PROOF_ROUNDS))

    gates.hold("nginx", "a request of 1 KB", found, slow)
