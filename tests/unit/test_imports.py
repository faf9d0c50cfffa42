"""The arrows between the folders point one way: read from the sources, compiled units included."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "fastgate"

BELOW: dict[str, set[str]] = {
    "_core": set(),
    "wire": {"_core"},
    "config": {"wire", "_core"},
    "pricing": {"config", "wire", "_core"},
    "budgets": {"pricing", "config", "wire", "_core"},
    "routing": {"pricing", "config", "wire", "_core"},
    "providers": {"pricing", "config", "wire", "_core"},
    "dialects": {"pricing", "config", "wire", "_core"},
    "cache": {"wire", "_core"},
    "semantic": {"cache", "wire", "_core"},
    "gateway": {"cache", "routing", "dialects", "providers", "budgets", "pricing", "config", "wire", "_core"},
    "ledger": {"postgres", "pricing", "config", "wire", "_core"},
    "state": {"config", "wire", "_core"},
    "postgres": {"config", "wire", "_core"},
    "backup": {"ledger", "state", "config", "wire", "_core"},
    "telemetry": {"pricing", "config", "wire", "_core"},
    "control": {
        "backup", "ledger", "state", "postgres", "telemetry", "cache", "routing", "dialects", "providers", "budgets",
        "pricing", "config", "wire", "_core",
    },
    "supervisor": {"control", "gateway", "backup", "cache", "wire", "_core"},
    "simulator": set(),
    "bills": set(),
    "doctor": {"supervisor", "cache", "backup", "ledger", "state", "postgres", "config", "wire", "_core"},
    "cli": {"doctor", "supervisor", "semantic", "control", "backup", "bills", "simulator", "config", "wire"},
}  # fmt: skip
"""What each folder may import beside itself and ``fastgate.version``."""

FOREIGN_BANNED = {
    # A worker must not even load what the control plane works with, nor block on a general HTTP client.
    "gateway": {
        "yaml",
        "litestar",
        "duckdb",
        "httpx",
        "prometheus_client",
        "sqlite3",
        "click",
        "genai_prices",
        "numpy",
    },
    "_core": {"granian", "litestar", "duckdb", "yaml", "click", "msgspec", "httpx", "genai_prices"},
    "wire": {"granian", "litestar", "duckdb", "yaml", "click", "httpx", "genai_prices"},
    "supervisor": {"granian", "litestar", "duckdb", "yaml", "click", "httpx", "numpy", "msgspec"},
}
"""Packages that must not be reached from a folder, by whatever way."""


def modules() -> list[Path]:
    return sorted(path for pattern in ("*.py", "*.pyx", "*.pxd") for path in PACKAGE.rglob(pattern))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    """Full names of the modules that a source imports, early or late; those for type checkers alone are left out."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return set(python_imports(ast.parse(text), name_of(path)))
    # `cdef extern from "header.h"` names no module.
    sources = re.findall(r"^\s*from\s+([\w.]+)\s+c?import\s+([^\n#]*)", text, re.MULTILINE)
    plain = re.findall(r"^\s*c?import\s+([\w.]+)", text, re.MULTILINE)
    found = set(plain)
    for module, names in sources:
        found.add(module)
        found |= {f"{module}.{name}" for name in re.findall(r"\w+", names)}
    return found


def python_imports(tree: ast.AST, module: str) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from python_imports(node, module)


def folder_of(module: str) -> str | None:
    """``fastgate.wire.usage`` lies in ``wire``; the package itself and its version lie in none."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "fastgate" and (PACKAGE / parts[1]).is_dir() else None


@cache
def graph() -> dict[str, set[str]]:
    """Module to the modules of ours, and the packages of others, that it imports. A `.pyx` and its `.pxd` are one."""
    names = {name_of(path) for path in modules()}
    found: dict[str, set[str]] = {name: set() for name in names}
    for path in modules():
        for wanted in imports_of(path):
            if wanted.split(".")[0] != "fastgate":
                found[name_of(path)].add(wanted.split(".")[0])
            elif wanted in names:
                found[name_of(path)].add(wanted)
    return found


def reached_from(start: str) -> dict[str, str]:
    """Everything that loading a module may load, with the module that asked for it."""
    reached: dict[str, str] = {}
    queue = [start]
    while queue:
        module = queue.pop()
        for wanted in graph().get(module, ()):
            if wanted not in reached:
                reached[wanted] = module
                queue.append(wanted)
    return reached


def test_every_folder_has_its_rule() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders <= set(BELOW)
    assert len(modules()) > 50


@pytest.mark.parametrize("folder", sorted(BELOW))
def test_a_folder_imports_only_what_lies_below_it(folder: str) -> None:
    for module, wanted in graph().items():
        if folder_of(module) == folder:
            beside = {name for name in wanted if (other := folder_of(name)) and other not in BELOW[folder] | {folder}}
            assert not beside, f"{module} imports {sorted(beside)}"


def test_the_rules_themselves_have_no_circle() -> None:
    done: set[str] = set()
    while len(done) < len(BELOW):
        free = {folder for folder, below in BELOW.items() if folder not in done and below <= done}
        assert free, f"circle among {sorted(set(BELOW) - done)}"
        done |= free


@pytest.mark.parametrize("folder", sorted(FOREIGN_BANNED))
def test_a_folder_does_not_reach_foreign_packages_by_any_way(folder: str) -> None:
    for module in graph():
        if folder_of(module) == folder:
            reached = reached_from(module)
            for package in sorted(FOREIGN_BANNED[folder] & set(reached)):
                pytest.fail(f"{module} reaches {package} through {reached[package]}")


def test_a_worker_reaches_neither_control_nor_ledger_nor_the_reader_of_configurations() -> None:
    for module in graph():
        if folder_of(module) == "gateway":
            reached = {
                name for name in reached_from(module) if folder_of(name) in {"control", "ledger", "telemetry", "config"}
            }
            assert not reached, f"{module} reaches {sorted(reached)}"


def test_no_worker_reaches_what_decides_on_semantic_hits() -> None:
    for module in graph():
        if folder_of(module) == "gateway":
            assert not [name for name in reached_from(module) if folder_of(name) == "semantic"], module


def test_dialects_and_providers_do_not_know_each_other() -> None:
    for one, other in (("dialects", "providers"), ("providers", "dialects")):
        for module in graph():
            if folder_of(module) == one:
                assert not [name for name in reached_from(module) if folder_of(name) == other], module


def test_the_simulator_knows_nothing_of_fastgate() -> None:
    for module, wanted in graph().items():
        if folder_of(module) == "simulator":
            assert not [name for name in wanted if name.startswith("fastgate") and folder_of(name) != "simulator"], (
                module
            )


def test_nobody_imports_the_command_line_but_itself() -> None:
    for module, wanted in graph().items():
        if folder_of(module) != "cli" and module != "fastgate.__main__":
            assert not [name for name in wanted if folder_of(name) == "cli"], module


def test_the_graph_sees_cimports_and_late_imports() -> None:
    assert "fastgate._core.arena" in graph()["fastgate._core.recovery"]
    assert "fastgate._core.owner" in graph()["fastgate.supervisor.recovery"]
    assert "uvloop" not in reached_from("fastgate.version")


def test_nothing_loads_the_client_of_postgresql_which_is_an_extra_unless_it_shares() -> None:
    program = "import sys, fastgate.control.process, fastgate.doctor.examination; sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
    assert "psycopg" in graph()["fastgate.postgres.patient"]


def test_a_worker_loads_no_client_of_redis_unless_it_shares() -> None:
    program = "import sys, fastgate.gateway.process; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    assert "redis" in graph()["fastgate.gateway.redis_link"]
