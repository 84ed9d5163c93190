"""Transfer: what arms trained on some traits or domains do on those and on the others, as
differences from the baseline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from colorfast.analysis.compare import INSPECT, differences
from colorfast.analysis.results import Evidence, compared
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT
from colorfast.runs.layout import BASELINE
from colorfast.stats.intervals import SeedShare, Table, mean, seed_share
from colorfast.training.schedule import pool
from colorfast.types import Interval

Kind = Literal["held-out trait", "held-out domain", "eval family"]


@dataclass(frozen=True)
class Column:
    """What is tested: held-out scenarios of one trait or domain, or a family of evals as one."""

    kind: Kind
    name: str
    control: bool = False


@dataclass(frozen=True)
class Cell:
    """An arm's difference from the baseline. `trained`: the arm trained on this trait or domain,
    and not on all of them. `size`: scenarios, or evals of a family."""

    arm: str
    column: Column
    trained: bool
    difference: Interval
    size: int


@dataclass(frozen=True)
class Beyond:
    """An arm on the held-out traits (or domains) that it trained on, and on the others; the mean
    over them, each counting once."""

    kind: Kind
    arm: str
    inside: Cell | None
    outside: Cell | None


@dataclass(frozen=True)
class Transfer:
    """`arms`: those of some traits or domains first. `cells`: for each arm, one a column; None
    where nothing was graded in both."""

    arms: tuple[str, ...]
    columns: tuple[Column, ...]
    cells: Mapping[str, tuple[Cell | None, ...]]
    beyond: tuple[Beyond, ...]


@dataclass(frozen=True)
class _Arm:
    """`trained`: by kind, the traits or domains of an arm that lacks some. `tables`: differences
    [seeds, items] by kind and name of a column."""

    name: str
    trained: Mapping[Kind, frozenset[str]]
    tables: Mapping[tuple[Kind, str], Sequence[Table]]
    share: SeedShare

    def mean_over(self, column: Column, tables: Sequence[Table], trained: bool) -> Cell | None:
        """The mean over tables; None without any."""
        if not tables:
            return None
        single = len(tables) == 1 and column.kind != "eval family"
        size = tables[0].shape[1] if single else len(tables)
        difference = mean(tables, self.share).interval().clipped(-1.0, 1.0)
        return Cell(self.name, column, trained, difference, size)

    def cell(self, column: Column) -> Cell | None:
        """The arm in one column of the matrix."""
        trained = column.name in self.trained.get(column.kind, ())
        return self.mean_over(column, self.tables.get((column.kind, column.name), ()), trained)

    def beyond(self, kind: Kind, columns: Sequence[Column]) -> Beyond:
        """The means over the columns of a kind."""
        inside: list[Table] = []
        outside: list[Table] = []
        for column in columns:
            if column.kind == kind:
                side = inside if column.name in self.trained[kind] else outside
                side += self.tables.get((kind, column.name), ())
        return Beyond(
            kind,
            self.name,
            self.mean_over(Column(kind, "trained on"), inside, True),
            self.mean_over(Column(kind, "not trained on"), outside, False),
        )


def transfer(e: Evidence) -> Transfer | None:
    """The matrix of every dosed arm; None where each of them trains on all traits and domains."""
    arms = [_arm(e, name) for name in e.dosed]
    arms.sort(key=lambda arm: (not arm.trained, [*arm.trained]))
    if not any(arm.trained for arm in arms):
        return None
    columns = _columns(e)
    cells: dict[str, tuple[Cell | None, ...]] = {}
    beyond: list[Beyond] = []
    for arm in arms:
        cells[arm.name] = tuple(map(arm.cell, columns))
        beyond += [arm.beyond(kind, columns) for kind in arm.trained]
    return Transfer(tuple(cells), columns, cells, tuple(beyond))


def _columns(e: Evidence) -> tuple[Column, ...]:
    """Traits, domains, then families: one of controls alone is a control, and stands last."""
    controls: dict[str, bool] = {}
    for name in e.experiment.evaluation.benchmarks:
        family, control = "inspect", False
        if not name.startswith(INSPECT):
            benchmark = benchmarks.get(name)
            family, control = benchmark.family, benchmark.control
        controls[family] = controls.get(family, True) and control
    families = [Column("eval family", name, control) for name, control in controls.items()]
    return (
        *(Column("held-out trait", name) for name in sorted(set(e.traits.values()))),
        *(Column("held-out domain", name) for name in sorted(set(e.domains.values()))),
        *sorted(families, key=lambda column: (column.control, column.name)),
    )


def _arm(e: Evidence, name: str) -> _Arm:
    rows = [d for d in compared(e, name) if d.metric.measure == "score"]
    heldout_only = e.experiment.evaluation.model_copy(update={"benchmarks": ()})
    domains = differences(name, e.scores[name], e.scores[BASELINE], heldout_only, e.domains)
    tables: dict[tuple[Kind, str], list[Table]] = defaultdict(list)
    for d in rows:
        if d.metric.part:
            tables["held-out trait", d.metric.part].append(d.table)
        elif d.metric.eval != HELDOUT:
            tables["eval family", d.metric.family].append(d.table)
    for d in domains:
        if d.metric.part:
            tables["held-out domain", d.metric.part].append(d.table)
    share = seed_share([d.table for d in rows if not d.metric.part])
    return _Arm(name, _trained(e, name), tables, share)


def _trained(e: Evidence, name: str) -> dict[Kind, frozenset[str]]:
    rows = pool(e.experiment, e.experiment.arms[name])
    trained: dict[Kind, frozenset[str]] = {}
    traits, domains = frozenset(s.trait for s in rows), frozenset(s.domain for s in rows)
    if traits < set(e.traits.values()):
        trained["held-out trait"] = traits
    if domains < set(e.domains.values()):
        trained["held-out domain"] = domains
    return trained
