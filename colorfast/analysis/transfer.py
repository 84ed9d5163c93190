"""Transfer: what arms trained on some traits or domains do on those and on the others, as
differences from the baseline."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from colorfast.analysis.compare import INSPECT, split
from colorfast.analysis.results import Evidence, compared
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT
from colorfast.runs.layout import BASELINE
from colorfast.stats.intervals import SeedShare, Table, item_means, mean, paired, seed_share
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
    """An arm's difference from the baseline with its 95% interval; `trained`: the arm trained on
    this very trait or domain, and not on all of them. `size`: scenarios, or evals of a family."""

    arm: str
    column: Column
    trained: bool
    difference: Interval
    size: int


@dataclass(frozen=True)
class Beyond:
    """An arm on the held-out traits (or domains) that it trained on, and on those that it did not;
    the mean over them, each counting once."""

    kind: Kind
    arm: str
    inside: Cell | None
    outside: Cell | None


@dataclass(frozen=True)
class Transfer:
    """`arms`: those of some traits or domains first. `cells`: for each arm, one a column, None
    where nothing was graded in both."""

    arms: tuple[str, ...]
    columns: tuple[Column, ...]
    cells: Mapping[str, tuple[Cell | None, ...]]
    beyond: tuple[Beyond, ...]


@dataclass(frozen=True)
class _Arm:
    """`trained`: by kind, the traits or domains of an arm that has not all of them."""

    name: str
    trained: Mapping[Kind, frozenset[str]]
    heldout: Mapping[str, Table]
    """By `kind/name`, the differences on its held-out scenarios."""
    families: Mapping[str, Sequence[Table]]
    share: SeedShare

    def cell(self, column: Column, tables: Sequence[Table]) -> Cell | None:
        """The mean over `tables`; its size is of scenarios where there is one table, and of tables
        else."""
        if not tables:
            return None
        found = mean(tables, self.share)
        size = (
            tables[0].shape[1] if column.kind != "eval family" and len(tables) == 1 else len(tables)
        )
        inside = column.name in self.trained.get(column.kind, ())
        return Cell(self.name, column, inside, found.interval().clipped(-1.0, 1.0), size)


def transfer(e: Evidence) -> Transfer | None:
    """The matrix of every dosed arm; None where each of them trains on all traits and domains."""
    arms = sorted(
        (_arm(e, name) for name in e.dosed), key=lambda arm: (not arm.trained, [*arm.trained])
    )
    if not any(arm.trained for arm in arms):
        return None
    columns = _columns(e)
    cells = {arm.name: tuple(arm.cell(c, _tables(arm, c)) for c in columns) for arm in arms}
    beyond = tuple(_beyond(arm, kind, columns) for arm in arms for kind in arm.trained)
    return Transfer(tuple(cells), columns, cells, beyond)


def _columns(e: Evidence) -> tuple[Column, ...]:
    traits = [Column("held-out trait", name) for name in sorted(set(e.traits.values()))]
    domains = [Column("held-out domain", name) for name in sorted(set(e.domains.values()))]
    families: dict[str, bool] = {}
    for name in e.experiment.evaluation.benchmarks:
        family, control = (
            ("inspect", False)
            if name.startswith(INSPECT)
            else (benchmarks.get(name).family, benchmarks.get(name).control)
        )
        families[family] = families.get(family, True) and control
    return (
        *traits,
        *domains,
        *(Column("eval family", *f) for f in sorted(families.items(), key=lambda f: (f[1], f[0]))),
    )


def _arm(e: Evidence, name: str) -> _Arm:
    found = [d for d in compared(e, name) if d.asked.measure == "score" and d.asked.ids is None]
    families: dict[str, list[Table]] = {}
    for d in found:
        if d.asked.eval != HELDOUT:
            families.setdefault(d.asked.family, []).append(d.table)
    return _Arm(
        name, _trained(e, name), _heldout(e, name), families, seed_share([d.table for d in found])
    )


def _trained(e: Evidence, name: str) -> dict[Kind, frozenset[str]]:
    arm = e.experiment.arms[name]
    rows = pool(e.experiment, arm)
    had: dict[Kind, tuple[frozenset[str], Collection[str]]] = {
        "held-out trait": (frozenset(s.trait for s in rows), e.traits.values()),
        "held-out domain": (frozenset(s.domain for s in rows), e.domains.values()),
    }
    return {kind: own for kind, (own, every) in had.items() if own < set(every)}


def _heldout(e: Evidence, name: str) -> dict[str, Table]:
    """Differences on the held-out scenarios of each trait and of each domain."""
    means = [
        {seed: item_means(rows, "score") for seed, rows in split(e.scores[arm])[HELDOUT].items()}
        for arm in (name, BASELINE)
    ]
    made: dict[str, Table] = {}
    for kind, groups in (("held-out trait", e.traits), ("held-out domain", e.domains)):
        for group in sorted(set(groups.values())):
            parts = (
                {
                    seed: {i: v for i, v in by.items() if groups.get(i) == group}
                    for seed, by in arm.items()
                }
                for arm in means
            )
            ours, theirs = paired(*parts)
            if ours.size:
                made[f"{kind}/{group}"] = ours - theirs
    return made


def _tables(arm: _Arm, column: Column) -> list[Table]:
    if column.kind == "eval family":
        return list(arm.families.get(column.name, ()))
    found = arm.heldout.get(f"{column.kind}/{column.name}")
    return [] if found is None else [found]


def _beyond(arm: _Arm, kind: Kind, columns: Sequence[Column]) -> Beyond:
    sides: dict[bool, list[Table]] = {True: [], False: []}
    for column in columns:
        if column.kind == kind:
            sides[column.name in arm.trained[kind]] += _tables(arm, column)
    inside, outside = (
        arm.cell(Column(kind, name), sides[side])
        for side, name in ((True, "trained on"), (False, "not trained on"))
    )
    return Beyond(kind, arm.name, inside and replace(inside, trained=True), outside)
