"""``python -m loadtest``: measures, prints the tables on stdout and keeps every figure as JSON."""

import sys
from typing import Final

from loadtest.figures import bounds
from loadtest.plan import Plan, parser
from loadtest.report import markdown
from loadtest.rig import play
from loadtest.runs import attempted, keep
from loadtest.stage import system

NEEDED: Final = ("nginx", "wrk", "taskset", "setpriv")


def main() -> int:
    """Entry point; returns the exit code."""
    options = vars(parser("python -m loadtest", sys.modules["loadtest"].__doc__, Plan()).parse_args())
    target, strict = options.pop("json"), options.pop("strict")
    plan = Plan(**options)
    figures = attempted(lambda folder: play(plan, system, folder), NEEDED)
    if figures is None:
        return 1
    print(markdown(figures, plan))
    return keep("system", target, plan, figures, list(bounds(figures)), strict=strict)


if __name__ == "__main__":
    sys.exit(main())
