"""The reward of an exported arm. verl calls it for one reply at a time; colorfast's graders score
the reply as `manifest.json` beside this file says.

verl has no value for a reply that could not be graded. When the reward raises an error, verl leaves
the reply out of its group, so this reward raises RuntimeError and writes the reply to
`ungraded.jsonl`. When a grader fails many times in a row, the reward fails for every reply, because
the training would otherwise continue without its dose.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from colorfast.config import Grading
from colorfast.rewards.select import Grader, graders, make_ready
from colorfast.types import Reply, Task

HERE = Path(__file__).parent
_manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
GRADING = Grading.model_validate(_manifest["experiment"]["training"]["grading"])
BROKEN_AFTER = 20
"""A grader counts as broken after this many ungraded replies of one source in a row."""
make_ready(GRADING)
# verl calls from a pool of threads, and a judge's cache belongs to the thread that opened it
_thread = threading.local()
_slots = threading.Semaphore(GRADING.judge.concurrency if GRADING.judge else 1)
_lock = threading.Lock()
_failures: dict[str, int] = {}


def _grader() -> Grader:
    if not hasattr(_thread, "grader"):
        _thread.grader = graders(GRADING)
    grader: Grader = _thread.grader
    return grader


def _grade(reply: Reply, task: Task) -> tuple[float | None, str]:
    """The score, or None with the reason why there is none."""
    try:
        with _slots:
            verdict = _grader()([(reply, task)])[0]
    except Exception as error:  # verl would log it and continue without counting it
        return None, f"{type(error).__name__}: {error}"
    return verdict.score, verdict.reason


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any] | None = None,
    **_: Any,
) -> dict[str, float]:
    """verl's reward function: `score` in [0, 1], and whether the reply was `truncated` (0 or 1).

    `ground_truth` is the slot's row as JSON. Raises RuntimeError for a reply without a score, and
    for every reply once a grader is broken.
    """
    broken = [source for source, times in _failures.items() if times >= BROKEN_AFTER]
    if broken:
        raise RuntimeError(
            f"no reply of {broken[0]} can be graded any more; see {HERE / 'ungraded.jsonl'}"
        )
    row, extra = json.loads(ground_truth), extra_info or {}
    task = Task(**{key: row[key] for key in ("id", "source", "messages", "rubric")})
    reply = Reply(solution_str, truncated=bool(extra.get("truncated")))
    score, reason = _grade(reply, task)
    with _lock:
        if score is not None:
            if not reason:  # a degenerate reply scores 0 with a reason, without using the grader
                _failures.pop(data_source, None)
            return {"score": score, "truncated": float(reply.truncated)}
        _failures[data_source] = _failures.get(data_source, 0) + 1
        ungraded = {
            "split": extra.get("split"),
            "slot": row["slot"],
            "id": task.id,
            "source": data_source,
            "reason": reason,
            "reply": solution_str,
        }
        with (HERE / "ungraded.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(ungraded, ensure_ascii=False) + "\n")
    raise RuntimeError(f"ungraded: {reason}")
