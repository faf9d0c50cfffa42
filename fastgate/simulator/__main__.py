"""``python -m fastgate.simulator``."""

from fastgate.simulator.main import command

if __name__ == "__main__":
    command(prog_name="python -m fastgate.simulator")
