"""What an experiment reads of others, tried before anything starts: all that is out of reach is
named at once, with the cure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from colorfast import tasks as standard
from colorfast.config import Evaluation, Experiment
from colorfast.corpus import constitution
from colorfast.evals import benchmarks
from colorfast.io.downloads import cache_dir, fetch_all
from colorfast.io.wheels import INDEX, UnreachableError
from colorfast.models import resolve as models
from colorfast.rewards import encoder
from colorfast.types import ColorfastError, Source

LINES = 40
"""As many lines of what is missing stand in one error."""
Needs = Mapping[str, Sequence[Source]]
"""Files by who reads them: a benchmark's name, or a task, a constitution, an attack."""
Parts = Mapping[str, Callable[[], Path]]
"""Models by what they are called, each as the function that brings it and returns its folder."""


@dataclass(frozen=True)
class Lack:
    """One file or model that cannot be had. `who`: the benchmarks (or others) that read it; `what`:
    its repository and path, or what the model is called."""

    who: tuple[str, ...]
    what: str
    error: ColorfastError

    @property
    def why(self) -> str:
        """In a few words, the same for all that failed alike."""
        return self.error.why if isinstance(self.error, UnreachableError) else str(self.error)


def of_benchmarks(names: Sequence[str]) -> Needs:
    """The files of benchmarks. Raises ColorfastError for an unknown name."""
    return {name: benchmarks.get(name).sources for name in names}


def of_training(experiment: Experiment) -> Needs:
    """The files that training reads: of standard tasks, and of the constitution that an arm goes
    by."""
    tasks = {f"standard task {name}": standard.files(name) for name in experiment.standard}
    goes_by_it = any(arm.reward == "constitution" for arm in experiment.arms.values())
    if goes_by_it and experiment.constitution == constitution.MODEL_SPEC:
        return tasks | {f"constitution {constitution.MODEL_SPEC}": (constitution.SOURCE,)}
    return tasks


def parts(experiment: Experiment) -> Parts:
    """The model that is trained, and the encoder where a grader needs it."""
    evaluation = experiment.evaluation
    gradings = (experiment.training.grading, evaluation.grading, evaluation.second_grading)
    brings: dict[str, Callable[[], Path]] = {
        f"model {experiment.model}": partial(models.resolve, experiment.model)
    }
    if any(grading is not None and grading.kind == "offline" for grading in gradings):
        brings[f"encoder {encoder.NAME}"] = encoder.folder
    return brings


def lacking(needs: Needs, models: Parts | None = None) -> list[Lack]:
    """Try every file and model, and return those that could not be had."""
    readers: dict[Source, list[str]] = {}
    for who, files in needs.items():
        for file in files:
            readers.setdefault(file, []).append(who)
    failed = fetch_all(readers)
    lacks = [Lack(tuple(readers[s]), f"{s.repo}/{s.path}", e) for s, e in failed.items()]
    for name, bring in (models or {}).items():
        try:
            bring()
        except ColorfastError as error:
            lacks.append(Lack((name,), name, error))
    return lacks


def require(
    needs: Needs, cure: str, models: Parts | None = None, skip: bool | None = None
) -> dict[str, str]:
    """Try every file, then every model; with `skip`, return the benchmarks that cannot be asked,
    each with the reason. Models are large, and are not tried where files alone are reason enough to
    stop.

    `cure`: what `colorfast fetch` is to be called with. `skip`: None where the command has no
    --skip-unreachable. Raises UnreachableError that names all that is missing, and ColorfastError
    for what is there and wrong.
    """
    suite = {who for who in needs if who.endswith(".py") or who in benchmarks.shipped()}
    lacks = _refused(lacking(needs), suite, cure, skip)
    _refused(lacking({}, models), suite, cure, None)
    return {who: lack.why for lack in reversed(lacks) for who in lack.who}


def _refused(lacks: list[Lack], suite: Collection[str], cure: str, skip: bool | None) -> list[Lack]:
    """What may be skipped; raises for the rest. `suite`: the benchmarks."""
    for lack in lacks:
        if not isinstance(lack.error, UnreachableError):
            raise lack.error
    needed = [lack for lack in lacks if not set(lack.who) <= set(suite)]
    if not needed and (skip or not lacks):
        return lacks
    cures = [
        f"to bring what is missing: colorfast fetch {cure} where there is a network ({cache_dir()}"
        " can then be copied), or COLORFAST_MIRROR=FOLDER with owner/name/path in it"
    ]
    if skip is False and not needed:
        cures.append("to go on without these benchmarks: --skip-unreachable")
    text = "\n".join([_headed(lacks, suite), *listed(lacks), *cures])
    raise UnreachableError(text, "; ".join(dict.fromkeys(lack.why for lack in lacks)))


def check_training(experiment: Experiment, cure: str) -> None:
    """Raises ColorfastError when a file that training reads cannot be had; it then names those of
    the benchmarks too."""
    needs = of_training(experiment)
    if lacking(needs):
        require({**needs, **of_benchmarks(experiment.evaluation.benchmarks)}, cure)


def without(evaluation: Evaluation, left_out: Collection[str]) -> Evaluation:
    """The evaluation but for these benchmarks."""
    kept = tuple(name for name in evaluation.benchmarks if name not in left_out)
    return evaluation.model_copy(update={"benchmarks": kept})


def skipped(missing: Mapping[str, str], of: int) -> list[str]:
    """Lines that say what is left out of so many benchmarks, and why; none when nothing is."""
    if not missing:
        return []
    then = "the same command measures them when their files can be reached"
    lines = [f"skipped: {len(missing)} of {of} benchmarks cannot be asked now; {then}"]
    for why in dict.fromkeys(missing.values()):
        lines.append(f"  {why}: {', '.join(name for name, own in missing.items() if own == why)}")
    return lines


def _headed(lacks: Sequence[Lack], suite: Collection[str]) -> str:
    stopped = {who for lack in lacks for who in lack.who} & set(suite)
    models = sum(lack.what in lack.who for lack in lacks)
    counts = ((len(lacks) - models, "file"), (models, "model"))
    missing = " and ".join(f"{n} {word}{'s' * (n > 1)}" for n, word in counts if n)
    then = f" ({len(stopped)} of {len(suite)} benchmarks cannot be asked)" if stopped else ""
    return f"{missing} cannot be reached{then}:"


def listed(lacks: Sequence[Lack]) -> list[str]:
    """A line for each reason, and under it one for each reader with its files; cut after LINES."""
    lines: list[str] = []
    for why in dict.fromkeys(lack.why for lack in lacks):
        alike = [lack for lack in lacks if lack.why == why]
        lines += [f"  {why}{_untried(alike)}:", *_by_reader(alike)]
    return (
        [*lines[:LINES], f"    and {len(lines) - LINES} more"] if len(lines) > LINES + 1 else lines
    )


def _untried(alike: Sequence[Lack]) -> str:
    """Says so when one failure stands for all: nothing more was asked of what did not answer."""
    error = alike[0].error
    if len(alike) < 2 or not isinstance(error, UnreachableError) or not error.at:
        return ""
    return (
        "; after the first, its other "
        + ("packages" if error.at == INDEX else "files")
        + " were not tried"
    )


def _by_reader(lacks: Sequence[Lack]) -> Iterator[str]:
    """Benchmarks that read the same files share a line."""
    files: dict[str, list[str]] = {}
    for lack in lacks:
        for who in lack.who:
            files.setdefault(who, []).append(lack.what)
    together: dict[tuple[str, ...], list[str]] = {}
    for who, own in files.items():
        together.setdefault(tuple(own), []).append(who)
    for what, readers in together.items():
        named = ", ".join(readers)
        more = f" and {len(what) - 1} more" if len(what) > 1 else ""
        yield f"    {named}" if list(what) == readers else f"    {named}: {what[0]}{more}"
