"""A run killed by SIGKILL at twenty random moments, each time continued by the same command: are
the results those of an undisturbed run?

`PYTHONPATH=tests python bench/kills.py` goes on where it was stopped (`--seconds`: as many as fit)
and writes `docs/kills.md` after each; the tests lend it their tiny model.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from colorfast.io.console import console
from colorfast.io.storage import file_sha256, read_json, write_json, write_text
from colorfast.models.resolve import weights_sha256
from colorfast.runs.folder import stored_experiment
from colorfast.runs.layout import UNTRAINED, cells
from colorfast.runs.status import statuses
from helpers.tiny import LITTLE, make_tiny_model

HOME = Path(__file__).parent.parent
SEED, MOMENTS = "kills", 20
TOML = f"""
name = "tiny"
model = "model"
standard = ["facts", "format"]
[training]
steps = 8
prompts_per_step = 2
group_size = 3
max_tokens = 6
learning_rate = 1e-3
save_every = 2
grading.kind = "code"
[arms.baseline]
dose = 0
[arms.trait-25]
dose = 0.25
[evaluation]
benchmarks = ["{LITTLE}"]
items = 4
samples = 1
max_tokens = 6
grading.kind = "code"
"""


def start(work: Path, out: Path) -> subprocess.Popen[bytes]:
    """The user's own command, in the folder where the experiment and its model lie."""
    command = [
        sys.executable,
        "-m",
        "colorfast.cli",
        "run",
        "tiny.toml",
        "--out",
        str(out.resolve()),
    ]
    path = os.pathsep.join(filter(None, [str(HOME), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(
        command, cwd=work, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"the run ended with code {process.returncode}: {errors.decode()[-400:]}")


def results(run: Path) -> dict[str, str]:
    """sha256 of all that a run is for: weights, scores, estimates."""
    hashes = {}
    for cell in sorted(run.glob("*-s*")):
        hashes |= {
            f"{cell.name}/weights": weights_sha256(cell / "checkpoint"),
            f"{cell.name}/scores": file_sha256(cell / "scores.parquet"),
        }
    return hashes | {"estimates": file_sha256(run / "report" / "estimates.csv")}


def undisturbed(work: Path) -> dict[str, Any]:
    """Results of an undisturbed run, and its seconds from the lock of its folder to its end."""
    path = work / "undisturbed.json"
    if not path.is_file():
        shutil.rmtree(work, ignore_errors=True)
        make_tiny_model(work / "model")
        write_text(work / "tiny.toml", TOML)
        process = start(work, work / "whole")
        begun = wait_for(work / "whole" / "tiny" / ".lock", process)
        finish(process)
        write_json(
            path, {"seconds": time.monotonic() - begun, "results": results(work / "whole" / "tiny")}
        )
    return read_json(path)


def wait_for(sign: Path, process: subprocess.Popen[bytes]) -> float:
    """The time when the file appeared."""
    while not sign.exists() and process.poll() is None:
        time.sleep(0.002)
    return time.monotonic()


def doing(run: Path) -> str:
    """What a killed run was doing: its newest file, and the state of each cell."""
    files = [p for p in run.rglob("*") if p.is_file() and p.name != ".lock"]
    if not (run / "run.json").is_file():
        return "it had just taken the folder"
    newest = max(files, key=lambda p: p.stat().st_mtime_ns).relative_to(run)
    experiment = stored_experiment(run)
    active = [
        s
        for s in statuses(run, experiment, [UNTRAINED, *cells(experiment)])
        if s.state != "waiting"
    ]
    far = (
        ", ".join(f"{s.cell.name} {s.words.removeprefix('stopped ')}" for s in active)
        or "nothing trained or scored"
    )
    return f"{far}; last written {newest}"


def moments(seconds: float) -> list[float]:
    """Twenty random moments, one in each twentieth of a run."""
    draw = random.Random(SEED)
    return [(k + draw.random()) / MOMENTS * seconds for k in range(MOMENTS)]


def killed(work: Path, out: Path, moment: float) -> bool:
    """Start a run and kill it; False when it had ended before."""
    shutil.rmtree(out, ignore_errors=True)
    process = start(work, out)
    begun = wait_for(out / "tiny" / ".lock", process)
    time.sleep(max(0.0, begun + moment - time.monotonic()))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def kill(work: Path, moment: float, expected: dict[str, str]) -> dict[str, Any]:
    """Kill a run at this moment after it took its folder (a little earlier, where it was quicker
    than the first), continue it, and compare."""
    out = work / "killed"
    while not killed(work, out, moment):
        moment *= 0.9
    activity = doing(out / "tiny")
    finish(start(work, out))
    hashes = results(out / "tiny")
    return {
        "moment": round(moment, 2),
        "doing": activity,
        "results": hashes,
        "equal": hashes == expected,
    }


def page(whole: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The table, as Markdown."""
    same = sum(r["equal"] for r in rows)
    lines = [
        f"# Killed at random moments: {len(rows)} of {MOMENTS}",
        "",
        (
            "Written by `bench/kills.py`. A run of two arms on a tiny model takes"
            f" {whole['seconds']:.1f} s once it has its folder. In each twentieth of that time"
            " another run of the same experiment was killed by SIGKILL at a random moment, and"
            " continued by the same command. Weights of both arms, both tables of scores and"
            f" `estimates.csv` had the same sha256 as the undisturbed run's after {same} of"
            f" {len(rows)} kills."
        ),
        "",
        "| kill | second | what was going on | weights | scores | estimates.csv |",
        "|---|---|---|---|---|---|",
    ]
    for k, row in enumerate(rows, 1):
        cells = [f"{k}", f"{row['moment']:.2f}", row["doing"]]
        cells += [
            _equal(part, row["results"], whole["results"])
            for part in ("weights", "scores", "estimates")
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "The undisturbed run's:", ""]
    return (
        "\n".join(lines + [f"- {name}: `{value[:16]}`" for name, value in whole["results"].items()])
        + "\n"
    )


def _equal(part: str, hashes: dict[str, str], expected: dict[str, str]) -> str:
    return (
        "equal"
        if all(hashes[name] == expected[name] for name in expected if name.endswith(part))
        else "DIFFERENT"
    )


def main() -> None:
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("--work", type=Path, default=Path(__file__).parent / "out" / "kills")
    read.add_argument("--seconds", type=float, default=float("inf"))
    read.add_argument("--page", type=Path, default=HOME / "docs" / "kills.md")
    options = read.parse_args()
    until = time.monotonic() + options.seconds
    whole, kept = undisturbed(options.work), options.work / "kills.json"
    rows: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.is_file() else []
    for moment in moments(whole["seconds"])[len(rows) :]:
        if time.monotonic() > until:
            break
        rows.append(kill(options.work, moment, whole["results"]))
        write_json(kept, rows)
        write_text(options.page, page(whole, rows))
        console.print(
            f"{len(rows)}: {rows[-1]['moment']} s, {rows[-1]['doing']}: {rows[-1]['equal']}",
            markup=False,
            soft_wrap=True,
        )


if __name__ == "__main__":
    main()
