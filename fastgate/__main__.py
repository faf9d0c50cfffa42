"""``python -m fastgate`` is the command ``fastgate``."""

from fastgate.cli.main import main

main()
