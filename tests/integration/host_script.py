"""A supervisor whose children are stand-ins, run as a process of its own by test_supervisor_host.py.

Usage: host_script.py STATE_DIR WORKERS DRAIN_SECONDS PORT. The stand-in workers answer each connection with
their number and pid, and do not start where there is a STATE_DIR/broken; control writes what it is sent into
STATE_DIR/signals. Settings in the variable SEMANTIC add the semantic process, which is no stand-in.
"""

import json
import os
import sys
from pathlib import Path

from fastgate.supervisor import commands, serve
from fastgate.supervisor.child import Command
from fastgate.supervisor.folders import StateLock, make_private
from fastgate.supervisor.options import Program, ServeOptions

LIFE = """
import os, select, signal, socket, sys, threading, time
def leash():
    os.read(0, 1)
    time.sleep(float(os.environ.get("LINGER", "0")))  # as a busy process does
    os._exit(7)
threading.Thread(target=leash, daemon=True).start()
def ready():
    os.write(int(os.environ["FASTGATE_READY_FD"]), b"ready\\n")
"""
WORKER = (
    LIFE
    + """
if os.path.exists(os.path.join(os.environ["FASTGATE_STATE_DIR"], "broken")): sys.exit(3)
listener = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
listener.setblocking(False)
told, teller = socket.socketpair()
teller.setblocking(False)
signal.set_wakeup_fd(teller.fileno())
signal.signal(signal.SIGTERM, lambda *_: None)
ready()
while told not in select.select([listener, told], [], [])[0]:  # whom it has accepted it answers
    try: connection, _ = listener.accept()
    except BlockingIOError: continue  # another one has
    connection.sendall(f"{sys.argv[sys.argv.index('--index') + 1]} {os.getpid()}\\n".encode())
    connection.close()
"""
)
CONTROL = (
    LIFE
    + """
signals = os.path.join(os.environ["FASTGATE_STATE_DIR"], "signals")
def note(number, _):
    with open(signals, "a") as file: file.write(signal.Signals(number).name + "\\n")
    if number == signal.SIGTERM: os._exit(0)
signal.signal(signal.SIGHUP, note)
signal.signal(signal.SIGTERM, note)
ready()
while True: signal.pause()
"""
)


def main(state_dir: Path, workers: int, drain_seconds: float, port: int) -> int:
    worker, control = commands.worker, commands.control

    def stand_in(command: Command, code: str) -> Command:
        return Command((sys.executable, "-S", "-c", code, *command.argv[3:]), command.environment, command.descriptors)

    commands.worker = lambda *a: stand_in(worker(*a), WORKER)
    commands.control = lambda *a: stand_in(control(*a), CONTROL)
    commands.check = lambda _: Command(("true",))
    options = ServeOptions(
        config=state_dir / "none.yaml",
        state_dir=state_dir,
        arena_dir=state_dir / "arena",
        port=port,
        admin_port=1,
        workers=workers,
        drain_seconds=drain_seconds,
        semantic=json.loads(os.environ["SEMANTIC"]) if "SEMANTIC" in os.environ else None,
        programs=(Program("files", "http.server", ("--bind", "127.0.0.1", "0")),),
    )
    serve.sockets.check_free = lambda host, port: None
    make_private(state_dir)
    with StateLock(state_dir):
        return serve.serve(options, lambda settled: print(settled.port, flush=True))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
