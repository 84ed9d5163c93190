"""The pages under docs/: the code of the extension pages runs, quoted messages are the program's own, nothing shipped goes unmentioned."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from colorfast import __version__, experiment
from colorfast.cli import app
from colorfast.cli.shown import out
from colorfast.console import console

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EMBEDDED = "SmolLM2-135M-Instruct"
FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.M | re.S)
PAGES = sorted(path.stem for path in (DOCS / "extend").glob("*.md"))


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_an_extension_page_runs(page: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Titled blocks are written, commands run in their order, and what a `text` block holds was printed by then. The embedded model is
    played by the tiny one."""
    monkeypatch.chdir(tmp_path)
    for screen in (out, console):
        monkeypatch.setattr(screen, "_width", 250)
    printed, commands = "", 0
    for language, title, body in FENCE.findall((DOCS / "extend" / f"{page}.md").read_text(encoding="utf-8")):
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
        done = subprocess.run([sys.executable, *args], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert done.returncode == 0, done.stderr
        return done.stdout
    assert program == "colorfast"
    told = CliRunner().invoke(app, args, catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return told.output
