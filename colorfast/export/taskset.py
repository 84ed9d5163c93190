"""The corpus as an environment of Prime Intellect's `verifiers`: a package that exports a taskset,
with the rubrics' reward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from colorfast import __version__
from colorfast.config import Grading
from colorfast.corpus.scenarios import corpus
from colorfast.export import copy_text, fresh, write_card
from colorfast.export.corpus import by_split, counts
from colorfast.export.trl import Kind
from colorfast.io.storage import write_json, write_text

PACKAGE = "colorfast_traits"
VERIFIERS = "0.4"
"""The release whose tasksets these files follow."""
PROJECT = f"""[project]
name = "colorfast-traits"
version = "{__version__}"
description = "Beneficial-trait scenarios, each with its own rubric"
requires-python = ">=3.11"
license = "Apache-2.0"
dependencies = ["verifiers>={VERIFIERS}", "colorfast"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["{PACKAGE}"]
"""


def write(folder: Path, kind: Kind = "offline") -> dict[str, Any]:
    """Write the package, its data and a card into a new folder. Returns the counts of the splits.
    Known replies stay behind: tasks travel whole in traces."""
    with fresh(folder) as part:
        home = part / PACKAGE
        for split, rows in by_split(corpus()).items():
            write_text(
                home / f"{split}.jsonl",
                "".join(s.model_dump_json(exclude={"replies", "facts"}) + "\n" for s in rows),
            )
        write_json(home / "grading.json", Grading(kind=kind).model_dump(mode="json"))
        copy_text("verifiers_taskset.py", home / "taskset.py")
        copy_text("verifiers_init.py", home / "__init__.py")
        write_text(part / "pyproject.toml", PROJECT)
        write_card(part / "README.md", "taskset.md.j2", kind=kind, verifiers=VERIFIERS, **counts())
    return counts()["splits"]
