"""The admin API against its own description, by Schemathesis: ``python -m tests.fuzz.fuzz_api SECONDS SEED PROGRAM``.

Every operation but the live stream, which does not end, on a control process of its own: what keeps to the schema is
taken, what does not is refused, no answer is one that is not described, nothing is a fault. With 0 for SECONDS, the
cases that follow from the schema alone, which are the same each time.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.control_host import CONFIG, TOKEN, ControlHost

_ENDLESS = "/api/v1/requests/live"
_SETTINGS = """
[[operations]]
include-name = "DELETE /api/v1/cache/entries"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409", "5xx"]

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "412", "429", "5xx"]
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "412", "415", "422", "428", "429", "5xx"]
"""
"""Its own, and 412: whatever else is asked, it may be asked of a version that is not the object's. That at least one of
several parameters has to be there is nothing that a description could say."""


def run(seconds: int, seed: int, program: Path) -> int:
    """Schemathesis's exit code; 1, too, where the control process is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="fastgate-fuzz-") as folder:
        host = ControlHost(Path(folder), f"{CONFIG}cache: {{exact: {{enabled: true, max_mb: 4}}}}\n")
        Path(folder, "schemathesis.toml").write_text(_SETTINGS)
        try:
            options = ["--phases=coverage"] if not seconds else [f"--max-time={seconds}"]
            options += [
                "--suppress-health-check=filter_too_much"
            ]  # how well examples can be made is no fault of the API
            options += [f"--seed={seed}", f"--exclude-path={_ENDLESS}", f"--header=Authorization: Bearer {TOKEN}"]
            described = f"{host.client.base_url}/api/v1/openapi.json"
            code = subprocess.run(
                [program, "run", described, "--no-color", *options], cwd=folder, check=False
            ).returncode
            return code or int(host.client.get("/api/v1/status").status_code != 200)
        finally:
            host.close()


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]).absolute()))
