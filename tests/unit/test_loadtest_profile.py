"""What the profile makes of its tools' reports."""

import pytest

from loadtest.profile import calls, part_of, shares

KERNEL = "kernel: both connections, waking, waiting"
INTERPRETER = "interpreter: the pipeline, objects, dictionaries"
REPORT = """
    40.50%  python3.11
    30.00%  [kernel.kallsyms]
     9.00%  libpython3.11.so.1.0
     4.00%  loop.cpython-311-x86_64-linux-gnu.so
     0.50%  [vdso]
     0.25%  libduckdb.so
"""
SUMMARY = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 70.26    0.001387           9       150           epoll_pwait
 16.87    0.000333           4        74        12 read
------ ----------- ----------- --------- --------- ----------------
100.00    0.001974           6       224        12 total
"""


@pytest.mark.parametrize(
    ("program", "part"),
    [
        ("python3.11", INTERPRETER),
        ("libpython3.11.so.1.0", INTERPRETER),
        ("libc.so.6", "C library: copies, allocation"),
        ("libc-2.36.so", "C library: copies, allocation"),
        ("[kernel.kallsyms]", KERNEL),
        ("budget.cpython-311-x86_64-linux-gnu.so", "money: budgets, prices, journal"),
        ("parser.cpython-312-aarch64-linux-gnu.so", "llhttp and its callbacks"),
        ("client.cpython-311-x86_64-linux-gnu.so", "server: requests read, answers put together"),
        ("libstdc++.so.6.0.30", "the rest"),
    ],
)
def test_code_belongs_to_a_part_of_the_path(program: str, part: str) -> None:
    assert part_of(program) == part


def test_shares_are_sums_by_part_the_largest_first() -> None:
    found = shares(REPORT)
    assert found == {INTERPRETER: 49.5, KERNEL: 30.5, "loop: uvloop, and what runs in it": 4.0, "the rest": 0.25}
    assert next(iter(found)) == INTERPRETER


def test_system_calls_are_counted_by_name() -> None:
    assert calls(SUMMARY) == {"epoll_pwait": 150, "read": 74}
