"""The reward of an exported arm, called by verl for one reply at a time: colorfast's own graders,
by the manifest beside this file.

verl has no place for a reply that could not be graded. Its trainer leaves a reply whose reward
raises out of the group, mean and update alike, so that is what happens here; each is written to
`ungraded.jsonl`, and a grader that fails again and again fails for all, so that no run goes on
without its dose.
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
GRADING = Grading.model_validate(
    json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))["experiment"]["training"][
        "reward"
    ]
)
IN_A_ROW = 20
"""So many replies of one source in a row without a grade, and its grader counts as broken."""
make_ready(GRADING)
_own = (
    threading.local()
)  # verl calls from a pool of threads, and a judge's cache belongs to the thread that opened it
_gate = threading.Semaphore(GRADING.judge.concurrency if GRADING.judge else 1)
_lock = threading.Lock()
_failed: dict[str, int] = {}


def _grader() -> Grader:
    if not hasattr(_own, "grader"):
        _own.grader = graders(GRADING)
    found: Grader = _own.grader
    return found


def _grade(reply: Reply, task: Task) -> tuple[float | None, str]:
    """The score, or None and why there is none."""
    try:
        with _gate:
            verdict = _grader()([(reply, task)])[0]
    except Exception as error:  # verl would log it, drop the reply and go on, uncounted
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
    broken = [source for source, times in _failed.items() if times >= IN_A_ROW]
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
            if not reason:  # a reply that says nothing scores 0 before any grader is asked
                _failed.pop(data_source, None)
            return {"score": score, "truncated": float(reply.truncated)}
        _failed[data_source] = _failed.get(data_source, 0) + 1
        names = {
            "split": extra.get("split"),
            "slot": row["slot"],
            "id": task.id,
            "source": data_source,
        }
        with (HERE / "ungraded.jsonl").open("a", encoding="utf-8") as file:
            file.write(
                json.dumps(names | {"reason": reason, "reply": solution_str}, ensure_ascii=False)
                + "\n"
            )
    raise RuntimeError(f"ungraded: {reason}")
