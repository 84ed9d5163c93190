"""Checks before anything starts that every file and model can be reached, and names all that cannot
be at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from colorfast import tasks
from colorfast.config import Evaluation, Experiment
from colorfast.corpus import constitution
from colorfast.evals import benchmarks
from colorfast.io.downloads import cache_dir, fetch_all
from colorfast.io.wheels import INDEX, UnreachableError
from colorfast.models.resolve import resolve
from colorfast.rewards import encoder
from colorfast.types import ColorfastError, Source

LINES = 40
"""The most lines of missing files in one error."""
Needs = Mapping[str, Sequence[Source]]
"""Files by their reader: a benchmark's name, or a task, a constitution, an attack."""
Parts = Mapping[str, Callable[[], Path]]
"""Models by name, each as the function that fetches it and returns its folder."""


@dataclass(frozen=True)
class Lack:
    """A file or model that cannot be reached. `who`: the benchmarks (or others) that read it.
    `what`: its repository and path, or the model's name."""

    who: tuple[str, ...]
    what: str
    error: ColorfastError

    @property
    def why(self) -> str:
        """The reason in a few words, the same for all that failed alike."""
        return self.error.why if isinstance(self.error, UnreachableError) else str(self.error)


def of_benchmarks(names: Sequence[str]) -> Needs:
    """The files of benchmarks. Raises ColorfastError for an unknown name."""
    return {name: benchmarks.get(name).sources for name in names}


def of_training(experiment: Experiment) -> Needs:
    """The files that training reads: of standard tasks, and of the constitution of an arm."""
    needs = {f"standard task {name}": tasks.files(name) for name in experiment.standard}
    spec = constitution.MODEL_SPEC
    rewards = {arm.reward for arm in experiment.arms.values()}
    if experiment.constitution == spec and "constitution" in rewards:
        needs[f"constitution {spec}"] = (constitution.SOURCE,)
    return needs


def parts(experiment: Experiment) -> Parts:
    """The model that is trained, and the encoder if a grader needs it."""
    evaluation = experiment.evaluation
    models = {f"model {experiment.model}": partial(resolve, experiment.model)}
    for grading in (experiment.training.grading, evaluation.grading, evaluation.second_grading):
        if grading and grading.kind == "offline":
            models[f"encoder {encoder.NAME}"] = partial(encoder.folder)
    return models


def lacking(needs: Needs, models: Parts | None = None) -> list[Lack]:
    """Try to fetch every file and model; return those that cannot be reached."""
    readers: dict[Source, list[str]] = {}
    for who, files in needs.items():
        for file in files:
            readers.setdefault(file, []).append(who)
    lacks = []
    for file, error in fetch_all(readers).items():
        lacks.append(Lack(tuple(readers[file]), f"{file.repo}/{file.path}", error))
    for name, fetch in (models or {}).items():
        try:
            fetch()
        except ColorfastError as error:
            lacks.append(Lack((name,), name, error))
    return lacks


def require(
    needs: Needs, cure: str, models: Parts | None = None, skip: bool | None = None
) -> dict[str, str]:
    """Try every file, then every model. With `skip`, return the benchmarks that cannot be asked,
    with the reasons. Models are large, so they are not tried when missing files stop the command.

    `cure`: the arguments of `colorfast fetch`. `skip`: None if the command has no
    --skip-unreachable. Raises UnreachableError that names all that is missing, and ColorfastError
    for a file with the wrong content.
    """
    suite = {who for who in needs if who.endswith(".py") or who in benchmarks.shipped()}
    lacks = lacking(needs)
    _refuse(lacks, suite, cure, skip)
    _refuse(lacking({}, models), suite, cure, None)
    reasons: dict[str, str] = {}
    for lack in reversed(lacks):
        reasons |= dict.fromkeys(lack.who, lack.why)
    return reasons


def _refuse(lacks: Sequence[Lack], suite: Collection[str], cure: str, skip: bool | None) -> None:
    """Raises unless all that is missing belongs to benchmarks (`suite`) and may be skipped."""
    for lack in lacks:
        if not isinstance(lack.error, UnreachableError):
            raise lack.error
    readers = set(chain.from_iterable(lack.who for lack in lacks))
    can_skip = readers <= set(suite)
    if not lacks or (skip and can_skip):
        return
    noun = "model" if lacks[0].what in readers else "file"
    lines = [f"{len(lacks)} {noun}{'s' * (len(lacks) > 1)} cannot be reached:"]
    if stopped := readers & set(suite):
        lines[0] = f"{lines[0][:-1]} ({len(stopped)} of {len(suite)} benchmarks cannot be asked):"
    lines += listed(lacks)
    lines.append(
        f"to bring what is missing: colorfast fetch {cure} where there is a network ({cache_dir()}"
        " can then be copied), or COLORFAST_MIRROR=FOLDER with owner/name/path in it"
    )
    if skip is False and can_skip:
        lines.append("to go on without these benchmarks: --skip-unreachable")
    raise UnreachableError("\n".join(lines), "; ".join(dict.fromkeys(lack.why for lack in lacks)))


def check_training(experiment: Experiment, cure: str) -> None:
    """Raises ColorfastError when a file that training reads cannot be reached. The error also names
    those of the benchmarks."""
    needs = of_training(experiment)
    if lacking(needs):
        require({**needs, **of_benchmarks(experiment.evaluation.benchmarks)}, cure)


def without(evaluation: Evaluation, left_out: Collection[str]) -> Evaluation:
    """The settings without these benchmarks."""
    kept = tuple(name for name in evaluation.benchmarks if name not in left_out)
    return evaluation.model_copy(update={"benchmarks": kept})


def skipped(missing: Mapping[str, str], of: int) -> list[str]:
    """Lines that say which of `of` benchmarks are left out, and why; none when nothing is."""
    if not missing:
        return []
    names: dict[str, list[str]] = {}
    for name, why in missing.items():
        names.setdefault(why, []).append(name)
    return [
        f"skipped: {len(missing)} of {of} benchmarks cannot be asked now; the same command measures"
        " them when their files can be reached",
        *(f"  {why}: {', '.join(alike)}" for why, alike in names.items()),
    ]


def listed(lacks: Sequence[Lack]) -> list[str]:
    """A line for each reason, and below it a line for the files of the same readers; at most LINES,
    then how many more."""
    lines: list[str] = []
    for why in dict.fromkeys(lack.why for lack in lacks):
        alike = [lack for lack in lacks if lack.why == why]
        files: dict[str, list[str]] = {}
        for lack in alike:
            files.setdefault(", ".join(lack.who), []).append(lack.what)
        lines.append(f"  {why}{_untried(alike)}:")
        for readers, names in files.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            lines.append(f"    {readers}" + f": {names[0]}{more}" * (names != [readers]))
    if len(lines) > LINES + 1:
        lines[LINES:] = [f"    and {len(lines) - LINES} more"]
    return lines


def _untried(alike: Sequence[Lack]) -> str:
    """What was not tried, because one failure stands for all."""
    error = alike[0].error
    if len(alike) < 2 or not isinstance(error, UnreachableError) or not error.at:
        return ""
    kind = "packages" if error.at == INDEX else "files"
    return f"; after the first, its other {kind} were not tried"
