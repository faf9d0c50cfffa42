"""Prints what the build, the program and its development need, as pyproject.toml says: one requirement per line."""

import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
for requirement in (
    *project["build-system"]["requires"],
    *project["project"]["dependencies"],
    *project["project"]["optional-dependencies"]["dev"],
):
    print(requirement)
