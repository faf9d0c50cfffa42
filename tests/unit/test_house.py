"""What holds for the sources and the documents as a whole."""

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 500
OURS = ("fastgate", "tests", "benchmarks", "loadtest", "docs", ".ci")
SOURCES = sorted(
    path
    for folder in OURS
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".pyx", ".pxd", ".pyi", ".h", ".md", ".sh"} or path.parent.name == ".ci"
    if path.is_file() and "__pycache__" not in path.parts
)
WRITTEN = {ROOT / "docs" / "cli.md"}
"""By a program, as long as it has something to say."""
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def project() -> dict[str, object]:
    document: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return document


def test_no_file_exceeds_the_limit() -> None:
    assert len(SOURCES) > 100
    counts = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in SOURCES if path not in WRITTEN}
    long = {name: lines for name, lines in counts.items() if lines > LIMIT}
    assert not long


def test_every_dependency_has_its_reason_in_the_documents() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    listed = {row.lower() for row in re.findall(r"^\| `([\w.-]+)` \|", text, re.MULTILINE)}
    described = project()
    wanted = list(described["dependencies"])  # type: ignore[call-overload]
    for extra in described["optional-dependencies"].values():  # type: ignore[attr-defined]
        wanted += extra
    names = {re.split(r"[<>=!~ \[;]", requirement)[0].lower() for requirement in wanted}
    assert listed == names


def test_the_coding_agents_that_are_installed_are_those_of_the_documents() -> None:
    listed = re.findall(r"^\| `(\S+@[\d.]+)` \|", (ROOT / "docs" / "dependencies.md").read_text(), re.MULTILINE)
    [installed] = re.findall(r"^agents=\((.*)\)$", (ROOT / ".ci" / "agents").read_text(), re.MULTILINE)
    assert listed == installed.split()


def test_the_gateways_that_are_measured_beside_fastgate_are_those_of_the_documents() -> None:
    listed = (ROOT / "docs" / "dependencies.md").read_text()
    script = (ROOT / ".ci" / "rivals").read_text()
    [portkey] = re.findall(r"^portkey=(\S+)$", script, re.MULTILINE)
    [litellm] = re.findall(r"^litellm='(\S+)'$", script, re.MULTILINE)
    assert f"`{portkey}`" in listed
    assert f"`{litellm}`" in listed


@pytest.mark.parametrize("folder", ["fastgate/_core", "loadtest"])
def test_every_compiled_unit_has_its_stub(folder: str) -> None:
    units = set((ROOT / folder).glob("*.pyx"))
    assert units
    assert not {unit for unit in units if not unit.with_suffix(".pyi").exists()}


def test_the_command_lines_reference_is_what_the_program_says() -> None:
    from fastgate.cli.reference import reference

    assert (ROOT / "docs" / "cli.md").read_text() == reference(), "python -m fastgate.cli.reference > docs/cli.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """The fragments by which a page's headings are linked to."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_into_documents_lead_to_a_heading(page: Path) -> None:
    for target, fragment in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text()):
        assert fragment in anchors(page.parent / target if target else page), (
            f"{page.name} links to {target}#{fragment}"
        )


def test_the_index_names_every_document() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    assert not [
        page.name for page in (ROOT / "docs").glob("*.md") if page.name != "index.md" and f"({page.name})" not in index
    ]


def test_paths_that_the_architecture_names_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    paths = set(re.findall(r"`((?:fastgate|tests|benchmarks|loadtest|docs)/[\w./-]+)`", text))
    assert len(paths) > 30
    assert not {path for path in paths if not (ROOT / path).exists()}


def test_make_lists_every_target_that_it_documents() -> None:
    listed = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout
    for target in (
        "run", "test", "lint", "bench", "bench-system", "bench-compare", "bench-keys", "bench-users", "bench-rivals",
        "bench-workers", "bench-duress", "bench-connections", "bench-semantic", "soak",
        "load", "profile", "locust", "k6", "wheel", "image-replay", "fuzz", "chaos", "clean",
    ):  # fmt: skip
        assert re.search(rf"^\s+make {target}\s+\S", listed, re.MULTILINE), target


def test_the_version_is_printed_without_loading_the_house() -> None:
    code = (
        "import sys; from fastgate.cli.main import cli; cli(['version'], standalone_mode=False); import json;"
        "print(json.dumps([name for name in sys.modules if name.startswith(('fastgate', 'httpx', 'msgspec', 'yaml'))]))"
    )
    version, loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert re.fullmatch(r"fastgate \d+\.\d+\.\d+", version)
    assert {name for name in json.loads(loaded) if name != "fastgate"} <= {
        "fastgate.version", "fastgate.cli", "fastgate.cli.main", "fastgate.cli.version", "fastgate.cli.options",
    }  # fmt: skip


@pytest.mark.alone
def test_the_version_costs_less_than_150_ms() -> None:
    def once() -> float:
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "fastgate", "version"], check=True, capture_output=True, env=dict(os.environ)
        )
        return time.monotonic() - began

    # The best of several: other tests may keep the machine busy.
    assert min(once() for _ in range(5)) < 0.15
