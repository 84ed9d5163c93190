"""Score one model outside a run: on benchmarks, on a user's own questions, on a task of Inspect."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorfast.config import Endpoint, Evaluation
from colorfast.corpus.scenarios import corpus
from colorfast.evals import benchmarks, custom, reach
from colorfast.evals.evaluate import EvalPlan, evaluate, short_benchmarks, work
from colorfast.evals.scoring import as_asked, items_asker
from colorfast.io.console import note, progress
from colorfast.io.notebook import frame, interval_plot
from colorfast.io.storage import digest, write_text
from colorfast.io.tables import read_scores, read_stamps, write_scores
from colorfast.io.validation import check_known
from colorfast.models import Policy
from colorfast.models.request_batcher import run
from colorfast.stats.intervals import summary
from colorfast.types import ColorfastError, Score

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

NUMBERS = ("score", "low", "high", "probability", "items", "ungraded")


@dataclass(frozen=True)
class ModelScores:
    """Every score of one model. `stamps`: for each eval, a digest of what was asked and how it was
    scored. `unmeasured`: benchmarks whose files cannot be reached, with the reasons."""

    name: str
    scores: Sequence[Score]
    stamps: Mapping[str, str] = field(default_factory=dict)
    unmeasured: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> list[dict[str, Any]]:
        """One row an eval: the mean score with its 95% interval over items, and counts."""
        rows = [{**row, "reason": ""} for row in summary(self.scores)]
        measured = {row["eval"] for row in rows}
        for name, reason in self.unmeasured.items():
            if name not in measured:
                rows.append({"eval": name, **dict.fromkeys(NUMBERS), "reason": reason})
        return rows

    def to_pandas(self) -> pandas.DataFrame:
        """The same rows as a pandas frame."""
        return frame(self.rows())

    def plot(self) -> Figure:
        """The mean score on every eval, with its 95% interval."""
        rows = [row | {"label": row["eval"]} for row in self.rows()]
        return interval_plot(self.name, rows, "score")


def read_folder(folder: Path) -> ModelScores:
    """The scores in a folder that `evaluate --out` wrote, or in an arm of a run.

    Raises ColorfastError when there are none.
    """
    whole = folder / "scores.parquet"
    paths = [whole] if whole.is_file() else sorted((folder / "scores").glob("*.parquet"))
    if not paths:
        raise ColorfastError(
            f"{folder}: no scores here; make them with colorfast evaluate MODEL --out {folder}"
        )
    scores: list[Score] = []
    stamps: dict[str, str] = {}
    for path in paths:
        scores += read_scores(path)
        stamps |= read_stamps(path)
    return ModelScores(folder.name, scores, stamps)


@dataclass(frozen=True)
class Target:
    """The model to score: the embedded model's name, a folder, a .gguf file or a hub id; with
    `endpoint`, the name of a model on that server. `chat`: prompts go through the chat template."""

    model: str
    endpoint: str | None = None
    chat: bool = True

    def policy(self, batch_size: int) -> Policy:
        """The loaded model. Raises ColorfastError when it cannot be loaded or asked so."""
        if self.endpoint is None:
            from colorfast.models.local import load_policy

            return replace(load_policy(self.model, batch_size), chat=self.chat)
        if not self.chat:
            raise ColorfastError(
                "--plain: a chat server applies its own template to every prompt; use a local model"
            )
        if not self.endpoint.startswith(("http://", "https://")):
            raise ColorfastError(
                f"--endpoint {self.endpoint}: wants a base URL, like http://localhost:8000/v1"
            )
        try:
            from colorfast.models.endpoint import EndpointPolicy
        except ModuleNotFoundError:
            raise ColorfastError(
                'the client of endpoints is missing; pip install "colorfast[judge]"'
            ) from None
        return EndpointPolicy(Endpoint(base_url=self.endpoint, model=self.model))


def suite_benchmarks(suite: str) -> tuple[str, ...]:
    """The benchmarks that a comma-separated list of suites and benchmarks names; "none" is none.

    Raises ColorfastError for an unknown name.
    """
    if suite == "none":
        return ()
    names = benchmarks.expand([name.strip() for name in suite.split(",")])
    shipped = [name for name in names if not name.endswith(".py")]
    check_known("benchmark or suite", shipped, [*benchmarks.names(), *benchmarks.SUITES])
    return names


def _fetch_names(names: Sequence[str]) -> str:
    """What `colorfast fetch` takes for these benchmarks: the suite that they are, or each."""
    for suite in benchmarks.SUITES:
        if benchmarks.suite(suite) == names:
            return suite
    return " ".join(names)


def score_suite(
    target: Target, evaluation: Evaluation, heldout: bool, folder: Path | None, skip: bool
) -> ModelScores:
    """Score a model on the benchmarks of `evaluation`, and with `heldout` on the held-out
    scenarios.

    `folder`: where each eval's scores are kept, so that a stopped call continues. `skip`: leave out
    benchmarks whose files cannot be reached, instead of raising UnreachableError.
    """
    asked = evaluation.benchmarks
    reasons = reach.require(reach.of_benchmarks(asked), _fetch_names(asked), skip=skip)
    for line in reach.skipped(reasons, len(asked)):
        note(line)
    unmeasured = {benchmarks.get(name).id: reason for name, reason in reasons.items()}
    evaluation = reach.without(evaluation, reasons)
    scenarios = tuple(s for s in corpus() if s.split == "heldout") if heldout else ()
    if not evaluation.benchmarks and not scenarios:
        raise ColorfastError(
            "nothing to score: --no-heldout, and no benchmark (--suite none, or all of them"
            " skipped)"
        )
    # Reads every file, so that a bad one is reported before the model is loaded.
    plan = EvalPlan(evaluation, scenarios)
    total = work(plan)
    for line in short_benchmarks(evaluation):
        note(f"note: {line}")
    policy = target.policy(evaluation.batch_size)
    with (
        tempfile.TemporaryDirectory() as scratch,
        progress(f"evaluate {target.model}", total) as advance,
    ):
        home = folder or Path(scratch)
        scores = evaluate(policy, plan, home, advance, unmeasured)
        stamps = read_stamps(home / "scores.parquet")
    return ModelScores(target.model, scores, stamps, unmeasured)


def score_choices(
    target: Target, path: Path, matching: bool, batch_size: int, folder: Path
) -> ModelScores:
    """Score a user's own choice benchmark, and write a row an item to `folder`.

    `matching`: whether the answer that matches the behavior is the aligned one.
    """
    policy = target.policy(batch_size)
    benchmark = custom.read_choices(path, matching)
    items = benchmark.items()
    with progress(f"score {path.name}", len(items)) as advance:
        asked = as_asked(policy, items)
        scores = run(policy, items_asker(benchmark, asked, Evaluation(), None, advance))
    rows = [
        {
            "id": item.id,
            "choices": item.choices,
            "loglikelihoods": score.logs,
            "picked": score.reply,
            "aligned": [item.choices[i] for i in item.aligned],
            "score": score.value,
            "probability": score.probability,
            "reason": score.reason,
        }
        for item, score in zip(items, scores, strict=True)
    ]
    written = folder / f"{path.stem}.scores.jsonl"
    write_text(written, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    note(f"per item: {written}")
    return ModelScores(target.model, scores)


def score_inspect(model: str, task: str, items: int, folder: Path | None) -> ModelScores:
    """Score a local model on a task of Inspect; its log is kept in `folder`, or in `logs`."""
    from colorfast.evals.inspect_provider import run_task  # inspect-ai is an optional extra

    logs = (folder or Path("logs")) / "inspect"
    scores = run_task(model, task, items, logs)
    # Scorers of one task see the same items, so they share a stamp.
    stamp = digest([task, items, sorted({score.item for score in scores})])[:12]
    stamps = {score.eval: stamp for score in scores}
    if folder:
        name = scores[0].eval.replace("/", "-")
        write_scores(folder / "scores" / f"{name}.parquet", scores, stamps)
    note(f"log: {logs} (inspect view --log-dir {logs})")
    return ModelScores(model, scores, stamps)
