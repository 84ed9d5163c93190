"""The pages under docs/: the code of the extension pages runs, quoted messages are the program's
own, nothing shipped goes unmentioned."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from hatchling.builders.wheel import WheelBuilder
from typer.testing import CliRunner

from colorfast import __version__
from colorfast.cli import app
from colorfast.cli.output import out
from colorfast.io.console import console
from colorfast.runs import experiment
from colorfast.training.schedule import heldout, trait_places

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EMBEDDED = "SmolLM2-135M-Instruct"
FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.M | re.S)
PAGES = sorted(path.stem for path in (DOCS / "extend").glob("*.md"))


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_an_extension_page_runs(
    page: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Titled blocks are written, commands run in their order, and what a `text` block holds was
    printed by then. The embedded model is played by the tiny one."""
    monkeypatch.chdir(tmp_path)
    for screen in (out, console):
        monkeypatch.setattr(screen, "_width", 250)
    printed, commands = "", 0
    for language, title, body in FENCE.findall(
        (DOCS / "extend" / f"{page}.md").read_text(encoding="utf-8")
    ):
        if title:
            (tmp_path / title).write_text(body.replace(EMBEDDED, str(tiny_model)), encoding="utf-8")
        elif language == "bash":
            for line in body.splitlines():
                printed += ran(line.replace(EMBEDDED, str(tiny_model)))
                commands += 1
        elif language == "text":
            for line in body.splitlines():
                assert line in printed, f"{page}: {line!r} was not printed:\n{printed}"
    assert commands


def ran(line: str) -> str:
    program, *args = shlex.split(line)
    if program == "python":
        done = subprocess.run(
            [sys.executable, *args],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
    assert program == "colorfast"
    told = CliRunner().invoke(app, args, catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return told.output


def quoted_messages() -> list[str]:
    rows = re.findall(r"^\| `([^`]+)` \|", (DOCS / "faq.md").read_text(encoding="utf-8"), re.M)
    return [part.strip() for row in rows for part in row.split("...") if len(part.strip()) > 4]


def test_every_quoted_message_is_the_programs_own() -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "colorfast").rglob("*.py"))
    )
    said = re.sub(
        r'"\s*\n\s*f?"', "", re.sub(r"\{what\}", "standard task", source)
    )  # a text may go on in the next line
    quoted = quoted_messages()
    assert len(quoted) > 35
    assert [text for text in quoted if text not in said] == []


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if not command.hidden:
            yield f"{before}{name}", command
            yield from commands(command, f"{before}{name} ") if hasattr(command, "commands") else ()


def test_every_command_has_help_with_an_example_of_itself() -> None:
    found = dict(commands(typer.main.get_command(app)))
    assert len(found) > 20
    for name, command in found.items():
        assert command.help, name
        assert f"`colorfast {name}" in (command.epilog or ""), name


def test_every_shipped_experiment_has_its_section() -> None:
    assert set(
        re.findall(r"^## `(.+)`$", (DOCS / "shipped.md").read_text(encoding="utf-8"), re.M)
    ) == set(experiment.names())


def test_the_calls_to_judges_are_counted_right() -> None:
    for name in ("quick", "paper"):
        e = experiment.read(name)
        trait_slots = sum(len(trait_places(arm.dose, e.slots)) for arm in e.arms.values())
        rewarded = trait_slots * e.training.group_size * len(e.seeds)
        evaluated = len(heldout(e)) * e.evaluation.samples * (len(e.arms) * len(e.seeds) + 1)
        assert f"| `{name}` | {rewarded:,} | {evaluated:,} |" in (DOCS / "judges.md").read_text(
            encoding="utf-8"
        )


def test_every_page_is_in_the_navigation_once() -> None:
    listed = re.findall(
        r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    )
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def test_the_version_is_the_same_everywhere() -> None:
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_wheel_holds_every_file_of_the_package_and_works_from_another_folder(
    tmp_path: Path,
) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    shipped = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "colorfast").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {".toml", ".jsonl", ".md", ".j2", ".json"} <= {Path(name).suffix for name in shipped}
    assert shipped == {name for name in held if ".dist-info/" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "colorfast", "experiments", "--json"],
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        check=True,
    )
    assert b'"quick"' in done.stdout
