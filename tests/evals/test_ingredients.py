"""What makes a result is in its key, and nothing else is."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from colorfast.config import Arm, Evaluation, Experiment, Grading
from colorfast.corpus.scenarios import corpus
from colorfast.evals import ingredients
from colorfast.evals.stamps import heldout_stamp
from colorfast.rewards import semantic
from colorfast.runs import cell_cache
from colorfast.training.schedule import schedule

CODE, OFFLINE = Grading(kind="code"), Grading(kind="offline")
TRAINING_FILES = (
    "models/sampling.py",
    "training/engines/prefix_packing.py",
    "training/engines/trl.py",
    "training/objectives.py",
)
CODE_FILES = (
    "rewards/rubric.py",
    "rewards/text.py",
    "rewards/graders/says.py",
    "rewards/graders/behaviors/reasons.toml",
)
OFFLINE_FILES = ("rewards/semantic.json", "rewards/semantic.py", "rewards/encoder.py")
OTHER_FILES = (
    "analysis/claims.toml",
    "analysis/compare.py",
    "report/html.py",
    "report/page/style.css",
    "cli/runs.py",
    "runs/experiments/quick.toml",
    "corpus/traits/truthfulness.toml",
    "evals/benchmarks/harm.py",
    "attacks/prompt/persona.toml",
)


BESIDE = {
    "__init__.py": "the version, which a key holds already",
    "io/console.py": "only shows",
    "corpus/__init__.py": "a room's name",
    "corpus/constitution.py": "writes rubrics, which stand in the slots",
    "io/downloads.py": "fetches files, whose sha256 is checked",
    "training/engines/__init__.py": "picks the engine",
    "training/engines/tracking.py": "only shows",
    "io/machine.py": "names the processor",
    "training/__init__.py": "a room's name",
    "training/ledger.py": "records what was done",
    "io/folders.py": "finds files by name",
    "io/wheels.py": "fetches files, whose sha256 is checked",
    "io/validation.py": "reads and checks files",
    "models/__init__.py": "the policy's interface",
    "io/storage.py": "writes files",
    "corpus/scenarios.py": "loads scenarios, which stand in the slots",
    "training/schedule.py": "makes the slots, which a key holds",
    "config.py": "settings stand in the key",
    "rewards/__init__.py": "a room's name",
    "tasks/__init__.py": "a room's name",
    "tasks/registry.py": "makes tasks, which stand in the slots",
    "io/tables.py": "writes files",
    "types.py": "names of fields",
}
"""Files that the engine or a grader imports and that are no ingredient: why an edit of each changes
no result."""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package's files."""
    root = tmp_path / "colorfast"
    shutil.copytree(ingredients.PACKAGE, root, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def digests(root: Path) -> dict[str, str]:
    """Read anew: digests are kept for the life of a process otherwise."""
    ingredients._digest.cache_clear()
    made = {
        "training": ingredients.training(root),
        "code": ingredients.grading(CODE, root),
        "offline": ingredients.grading(OFFLINE, root),
    }
    ingredients._digest.cache_clear()
    return made


def changed(root: Path, name: str) -> set[str]:
    """The digests that an edit of one file changes."""
    before = digests(root)
    path = root / name
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    after = digests(root)
    return {key for key in before if before[key] != after[key]}


@pytest.mark.parametrize("name", TRAINING_FILES)
def test_an_edit_of_what_trains_changes_the_training_digest(package: Path, name: str) -> None:
    assert changed(package, name) == {"training"}


@pytest.mark.parametrize("name", CODE_FILES)
def test_an_edit_of_what_reads_words_changes_both_gradings(package: Path, name: str) -> None:
    assert changed(package, name) == {"code", "offline"}


@pytest.mark.parametrize("name", OFFLINE_FILES)
def test_an_edit_of_what_reads_meaning_changes_the_offline_one(package: Path, name: str) -> None:
    assert changed(package, name) == {"offline"}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_an_edit_of_anything_else_changes_nothing(package: Path, name: str) -> None:
    assert changed(package, name) == set()


def test_offline_grading_depends_on_the_words_of_the_whole_corpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copy(semantic.SCENARIOS / "truthfulness.jsonl", tmp_path)
    whole = ingredients.rarity_digest(semantic.rarity())
    monkeypatch.setattr(semantic, "SCENARIOS", tmp_path)
    semantic.rarity.cache_clear()
    assert ingredients.rarity_digest(semantic.rarity()) != whole
    semantic.rarity.cache_clear()


def test_keys_and_stamps_hold_the_graders(
    tiny: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = schedule(tiny, Arm(dose=0.5), 0)
    held = [s for s in corpus() if s.split == "heldout"][:3]

    def made() -> tuple[dict[str, object], str, dict[str, object]]:
        key = cell_cache.trained_inputs("model", slots, tiny.training, 0)
        return (
            key,
            heldout_stamp(held, Evaluation(grading=CODE)),
            cell_cache.untrained_inputs("model"),
        )

    before = made()
    monkeypatch.setattr(ingredients, "grading", lambda how: "another")
    after = made()
    assert before[0] != after[0] and before[1] != after[1] and before[2] == after[2]


def test_the_lists_hold_all_that_the_engine_and_the_graders_import() -> None:
    root = ingredients.PACKAGE
    reached = imported(
        root, ["training/engines/trl.py", "training/engines/launch.py", "rewards/select.py"]
    )
    listed = {*ingredients.ANSWERS, *ingredients.TRAINS}
    for names in ingredients.GRADES.values():
        listed |= set(names)
    covered = {n for n in reached if n in listed or n.rpartition("/")[0] in listed}
    assert reached - covered == BESIDE.keys() & reached
    assert set(BESIDE) <= reached
    assert all((root / name).exists() for name in listed)


def imported(root: Path, names: list[str]) -> set[str]:
    """The package's files that these import, themselves included, however deep."""
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += modules(root, root / name)
    return reached


def modules(root: Path, path: Path) -> list[str]:
    """The package's files that one file names in its imports."""
    if path == root / "__init__.py":
        return []  # it imports the Python API when a notebook first asks for it
    dotted: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            dotted.add(node.module)
            dotted |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            dotted |= {alias.name for alias in node.names}
    files = []
    for parts in (name.split(".") for name in dotted if name.split(".")[0] == "colorfast"):
        inside = root.joinpath(*parts[1:])
        for file in (inside.with_suffix(".py"), inside / "__init__.py"):
            if file.is_file():
                files.append(file.relative_to(root).as_posix())
    return files
