"""Prints what pyproject.toml says is needed, one per line: of the extras that are named, else to develop."""

import sys
import tomllib
from pathlib import Path

described = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
extras = described["project"]["optional-dependencies"]
built = [*described["build-system"]["requires"], *described["project"]["dependencies"], *extras["dev"]]
for requirement in [each for name in sys.argv[1:] for each in extras[name]] or built:
    print(requirement)
