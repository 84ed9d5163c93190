"""doctor says what stands in the way, what to change, and is quick."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colorfast.cli import diagnose
from helpers.command import colorfast, refused
from helpers.server import said


def checks(*args: str, code: int = 0, **env: str) -> dict[str, dict[str, str]]:
    done = colorfast("doctor", "--json", *args, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] == (code == 0)
    return {check["name"]: check for check in told["checks"]}


def test_a_machine_that_runs_these_tests_is_fine_and_torch_is_not_imported() -> None:
    code = (
        "import sys; from colorfast.cli.diagnose import examine; examine(); sys.exit('torch' in"
        " sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    found = {c.name for c in diagnose.examine()}
    assert {
        "python",
        "torch",
        "cpu",
        "gpu",
        "memory",
        "disk, here",
        "extra judge",
        "trackers",
        "compilers",
        "files of quick",
    } <= found


def test_a_mirror_without_what_quick_needs_is_in_the_way(tmp_path: Path) -> None:
    found = checks(code=1, COLORFAST_MIRROR=str(tmp_path))
    assert (
        found["files of quick"]["state"] == "problem"
        and "unset COLORFAST_MIRROR" in found["files of quick"]["advice"]
    )
    assert found["benchmark files"]["state"] == "warning"
    plain = colorfast("doctor", env={"COLORFAST_MIRROR": str(tmp_path)})
    assert plain.returncode == 1 and "see the problems above" in plain.stdout


def test_an_empty_cache_is_told_and_not_filled(tmp_path: Path) -> None:
    empty = {"COLORFAST_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "hub")}
    found = checks(**empty, COLORFAST_MIRROR=os.environ.get("COLORFAST_MIRROR", ""))
    assert (
        found["model SmolLM2-135M-Instruct"]["state"] == "warning"
        and str(tmp_path) in found["model SmolLM2-135M-Instruct"]["advice"]
    )
    assert not list(tmp_path.iterdir())


def test_an_endpoint_answers_or_says_why_not(serve: Callable[..., Any]) -> None:
    url = serve(lambda *_: said("Yes.")).url
    assert (
        "answered 'Yes.'" in checks("--endpoint", url, "--model", "m")[f"endpoint {url}"]["found"]
    )
    refusing = serve(lambda *_: (401, {"error": {"message": "bad key"}})).url
    assert (
        "refuses the key"
        in checks("--endpoint", refusing, "--model", "m", code=1)[f"endpoint {refusing}"]["found"]
    )
    away = "http://127.0.0.1:9/v1"
    assert checks("--endpoint", away, "--model", "m", code=1)[f"endpoint {away}"][
        "advice"
    ].startswith("start the server")
    assert "go together" in colorfast("doctor", "--endpoint", url).stderr
    refused(colorfast("doctor", "--model", "m"), "go together")


def test_what_is_missing_or_too_little_has_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnose, "_version", lambda name: None)
    monkeypatch.setattr(diagnose, "DISK", 1e18)
    monkeypatch.setattr(diagnose, "MEMORY", 1e18)
    found = {c.name: c for c in diagnose.examine()}
    for name, state in (
        ("torch", "problem"),
        ("packages", "problem"),
        ("disk, here", "problem"),
        ("memory", "warning"),
    ):
        assert found[name].state == state and found[name].advice
    assert not diagnose.possible(list(found.values()))


def test_a_gpu_beside_a_cpu_build_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnose, "_gpus", lambda: ["Some GPU, 24000 MiB"])
    monkeypatch.setattr(diagnose, "_cuda", lambda folder: None)
    found = {c.name: c for c in diagnose.examine()}
    assert found["gpu"].found == "Some GPU, 24000 MiB" and found["torch"].state == "warning"
