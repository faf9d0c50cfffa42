"""Runs a module that knows nothing of a supervisor as a child of one.

``python -m fastgate.supervisor.leash --name NAME [--port N] module arguments...``: ends at once when standard input
reaches its end, says ``ready`` when the port answers (without a port: when the module is about to run), and logs what
the module prints as the process NAME.
"""

import contextlib
import os
import runpy
import socket
import sys
import threading
import time

from fastgate import logs

PROBE_SECONDS = 0.02


def main(argv: list[str]) -> None:
    """Runs the module in this process, as ``python -m`` would."""
    name, argv = argv[1], argv[2:]
    port = None
    if argv[0] == "--port":
        port, argv = int(argv[1]), argv[2:]
    logs.set_up(name, text=f"{name}: %(message)s")
    logs.take_over_stdout()
    ready_fd = int(os.environ.pop("FASTGATE_READY_FD"))
    os.set_inheritable(ready_fd, False)
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    if port is None:
        _say_ready(ready_fd)
    else:
        threading.Thread(target=_watch_port, args=(port, ready_fd), daemon=True).start()
    sys.argv = argv
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


def _end_with_supervisor() -> None:
    while os.read(0, 64):
        pass
    os._exit(1)


def _watch_port(port: int, ready_fd: int) -> None:
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            _say_ready(ready_fd)
            return
        time.sleep(PROBE_SECONDS)  # nothing tells when a foreign program's port begins to answer


def _say_ready(ready_fd: int) -> None:
    os.write(ready_fd, b"ready\n")
    os.close(ready_fd)


if __name__ == "__main__":
    main(sys.argv[1:])
