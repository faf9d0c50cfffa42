"""A host may have as many files open as its user may."""

import subprocess
import sys

CODE = """
import resource
from fastgate.supervisor.files import allow_most
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
allow_most()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
"""


def test_the_limit_is_raised_as_far_as_it_goes() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)
