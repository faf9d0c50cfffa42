"""Whether a gateway answers: ``python -m fastgate.supervisor.probe``, the health check of a container.

Takes the state folder from ``FASTGATE_STATE_DIR``; ends with 0 where ``/healthz`` answers, else with 1 and the reason.
"""

import json
import os
import ssl
import sys
from http import HTTPStatus
from pathlib import Path
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

SECONDS = 4.0
"""Less than the health check's own bound, so that the reason is told."""


def probe(state_dir: Path) -> str | None:
    """Why the gateway is not healthy; None where it is."""
    # The certificate is for the name that clients use, not for this host's loopback address; no proxy is asked.
    trusting = HTTPSHandler(context=ssl._create_unverified_context())
    try:
        url = json.loads((state_dir / "supervisor.json").read_bytes())["api"] + "/healthz"
        with build_opener(ProxyHandler({}), trusting).open(url, timeout=SECONDS) as answer:
            return None if answer.status == HTTPStatus.OK else f"{url} answers {answer.status}"
    except (OSError, ValueError, KeyError) as error:
        return f"the gateway of {state_dir} does not answer: {error}"


def main() -> int:
    """Entry point; returns the exit code."""
    reason = probe(Path(os.environ.get("FASTGATE_STATE_DIR", "./fastgate-state")))
    if reason is not None:
        print(f"fastgate: {reason}", file=sys.stderr)
    return int(reason is not None)


if __name__ == "__main__":
    sys.exit(main())
