"""What ``fastgate check`` says, one behaviour per pair of files: ``check/<name>.yaml`` and ``check/<name>.expected``.

``python -m tests.golden.test_check`` writes the expected files anew; read the difference before keeping it.
"""

import os
from pathlib import Path

import pytest

from fastgate.control.check import check

FOLDER = Path(__file__).parent / "check"
CASES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
ENVIRONMENT = {"OPENAI_API_KEY": "sk-secret-of-openai", "CLAUDE_CODE_KEY": "sk-fg-secret-of-claude-code", "EMPTY": ""}


def said(name: str) -> str:
    problems = check(Path(f"{name}.yaml"), ENVIRONMENT)
    return "".join(f"{problem}\n" for problem in problems) or "ok\n"


@pytest.fixture(autouse=True)
def in_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 35
    assert {path.stem for path in FOLDER.glob("*.expected")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_check_says_what_is_expected(name: str) -> None:
    assert said(name) == (FOLDER / f"{name}.expected").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_no_message_holds_what_a_variable_or_file_holds(name: str) -> None:
    assert not any(secret in said(name) for secret in ("sk-secret", "secret-of", "sk-ant"))


if __name__ == "__main__":
    os.chdir(FOLDER)
    for each in CASES:
        (FOLDER / f"{each}.expected").write_text(said(each), encoding="utf-8")
