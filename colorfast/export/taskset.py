"""The trait scenarios as an environment of Prime Intellect's `verifiers`: a package that exports a
taskset, rewarded by the rubrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from colorfast.config import Grading
from colorfast.export.corpus import by_split, counts
from colorfast.export.folder import copy_text, new_folder, write_template
from colorfast.export.trl import GraderKind
from colorfast.io.storage import write_json, write_text

PACKAGE = "colorfast_traits"
VERIFIERS = "0.4"
"""The release of verifiers that these files follow."""


def write(folder: Path, kind: GraderKind = "offline") -> dict[str, Any]:
    """Write the package, its data and a card into a new folder. Returns the number of scenarios in
    each split. Known replies are left out, because traces contain the whole task."""
    values = counts() | {"kind": kind, "verifiers": VERIFIERS, "package": PACKAGE}
    with new_folder(folder) as part:
        home = part / PACKAGE
        for split, scenarios in by_split().items():
            lines = [s.model_dump_json(exclude={"replies", "facts"}) + "\n" for s in scenarios]
            write_text(home / f"{split}.jsonl", "".join(lines))
        write_json(home / "grading.json", Grading(kind=kind).model_dump(mode="json"))
        copy_text("verifiers_taskset.py", home / "taskset.py")
        copy_text("verifiers_init.py", home / "__init__.py")
        write_template(part / "pyproject.toml", "taskset.toml.j2", **values)
        write_template(part / "README.md", "taskset.md.j2", **values)
    return values["splits"]
