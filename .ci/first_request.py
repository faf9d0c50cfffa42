"""Starts `fastgate serve` as a newcomer would, runs the curl that it prints, and expects 200 with a cost.

Usage: first_request.py FASTGATE STATE_DIR
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading

SECONDS = 60


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def main(fastgate: str, state_dir: str) -> int:
    command = [fastgate, "serve", "--port", str(free_port()), "--admin-port", str(free_port()), "--workers", "1"]
    server = subprocess.Popen([*command, "--state-dir", state_dir], stdout=subprocess.PIPE, text=True)
    # A server that never prints its first screen must not hang the caller.
    alarm = threading.Timer(SECONDS, server.kill)
    alarm.start()
    try:
        assert server.stdout is not None
        screen = ""
        curl = None
        for line in server.stdout:
            screen += line
            if curl := re.search(r"^\s*(curl .*)$", line):
                break
        assert curl, f"no curl in what was printed:\n{screen}"
        environment = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/local/bin:/usr/bin:/bin"}
        answer = subprocess.run(
            ["/bin/sh", "-c", curl[1]], capture_output=True, text=True, timeout=30, check=True, env=environment
        ).stdout
        assert re.search(r"^HTTP/1\.1 200\b", answer), answer
        cost = re.search(r"^x-fastgate-cost-usd: (\d+\.\d{9})\r?$", answer, re.MULTILINE | re.IGNORECASE)
        assert cost, answer
        print(f"first request answered, cost {cost[1]} USD")
        server.send_signal(signal.SIGTERM)
        status = server.wait(45)
        assert status == 0, f"serve ended with {status}"
        return 0
    finally:
        alarm.cancel()
        server.kill()
        server.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
