"""What a reader must know before believing the numbers, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from colorfast.report.findings import FEW_ITEMS, ArmFacts, Findings, Row
from colorfast.report.wording import between, clear, number, percent, several, signed

NAMED = 12
"""Cells or evals that a note names one by one."""
GRADERS = {"code": "code", "offline": "code and meaning, offline", "judge": "a judge"}
OBJECTIVES = {
    "best-of-n": "fine-tuned on the best reply of each group",
    "constitution-sft": (
        "fine-tuned on revisions of its own drafts, each after a critique by a principle"
    ),
    "deliberative": (
        "fine-tuned on the best reply of each group, sampled with the constitution in the prompt"
    ),
}


def tallies(f: Findings) -> list[str]:
    """For each dosed arm: how many evals rose and fell by raw sign and after correction, and which
    fell with an interval below zero."""
    return [f"{arm.name}: {_tally(f, arm)}" for arm in f.dosed]


def _tally(f: Findings, arm: ArmFacts) -> str:
    o = f.overall[arm.name]
    if o is None:
        return "no eval that counts was graded in both arms."
    counted = sum(row.counted for row in f.rows)
    worse = [_name(row) for row in f.rows if clear(row.cells[arm.name]) < 0]
    ungraded = f", {counted - o.evals} not graded" if o.evals < counted else ""
    return (
        f"by raw sign {o.wins} of {counted} {'eval' if counted == 1 else 'evals'} better,"
        f" {o.losses} worse, {o.evals - o.wins - o.losses} equal{ungraded} (sign test with families"
        f" as clusters: p = {o.sign_p:.3f}). Mean difference {signed(o.difference.value)}, 95%"
        f" interval {between(o.difference)}. After Benjamini-Hochberg {o.significant_wins}"
        f" significantly better and {o.significant_losses} significantly worse. Interval below"
        f" zero: {several(worse) or 'none'}."
    )


def _name(row: Row) -> str:
    kind = "held-out " if row.all_held_out or row.part else ""
    notes = {"probability": row.measure == "probability", "control": row.control}
    names = ", ".join(name for name, holds in notes.items() if holds)
    return f"{kind}{row.label} ({names})" if names else f"{kind}{row.label}"


def cautions(f: Findings) -> list[str]:
    """Everything about this run that limits what its numbers mean."""
    notes = []
    if f.start is not None:
        notes.append(
            f"The untrained model scores {number(f.start)} on the held-out scenarios: compare the"
            " baseline's with it too."
        )
    demonstrations, size = f.experiment.training.demonstrations, f.experiment.training.group_size
    if demonstrations:
        notes.append(
            f"In every arm {demonstrations} of the {size} replies in a group is the task's own"
            " good reply, not sampled (training.demonstrations)."
        )
    for arm in f.arms:
        notes += _trained(f, arm)
    small_evals = {e.eval for e in f.estimates if e.items < FEW_ITEMS}
    if small_evals:
        names = several(list(dict.fromkeys(row.label for row in f.rows if row.eval in small_evals)))
        notes.append(f"With fewer than {FEW_ITEMS} items an interval means little: {names}.")
    if f.left:
        notes.append(f"Only what is whole is compared. Not in here: {_first(f.left)}.")
    if f.unmeasured:
        notes.append(
            "Not measured, because files could not be reached:"
            f" {_first([u.eval for u in f.unmeasured])}. The command that made this run fills them"
            " in when it is run again with the files at hand."
        )
    if f.unmatched:
        notes.append(f"The arms are NOT compute-matched: {several(f.unmatched)} differ.")
    notes += power_notes(f)
    if f.corpus_changed:
        notes.append(
            "The scenario files have changed since this run: conversations shown, and scores by"
            " trait, follow today's files."
        )
    return notes


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _trained(f: Findings, facts: ArmFacts) -> list[str]:
    """How an arm was trained, where it is not reinforced by the rubrics alone, and what it was not
    trained on."""
    training, arm = f.experiment.training, f.experiment.arms[facts.name]
    how = []
    if arm.reward == "constitution":
        name = f.experiment.constitution.rsplit("/", 1)[-1]
        how.append(f"judged by the constitution {name} ({GRADERS[training.grading.kind]})")
    elif arm.reward == "placebo":
        how.append("rewards shuffled within each group")
    elif arm.reward != "rubric":
        how.append(f"rewarded for {arm.reward}")
    if arm.objective != "rl":
        how.append(OBJECTIVES[arm.objective])
    if facts.total.extra_tokens:
        how.append(f"{facts.total.extra_tokens:,} tokens beyond prompts and replies")
    if facts.total.endpoint_tokens:
        writer = training.grading.judge.model if training.grading.judge else "-"
        how.append(f"{facts.total.endpoint_tokens:,} tokens written by {writer}")
    notes = [f"{facts.name}: {', '.join(how)}."] if how else []
    unseen = f.unseen.get(facts.name)
    if unseen:
        notes.append(
            f"{facts.name} was not trained on {several(unseen)}: what it gains there is transfer."
        )
    return notes


def power_notes(f: Findings) -> list[str]:
    """The suite's A/A test, and what the evals have in common where there are models enough."""
    return [_aa_test(f), _structure(f)] if f.structure else [_aa_test(f)]


def _aa_test(f: Findings) -> str:
    a = f.aa_test
    if a.nonzero is None or a.significant is None:
        return f"A/A test: not measured ({a.reason})."
    one = a.seeds == 1
    seeds = (
        "one seed of the baseline against another"
        if one
        else f"{a.seeds} seeds of the baseline against as many others"
    )
    caveat = "; with one seed a side, run-to-run variance is what it shows" if one else ""
    return (
        f"A/A test, {seeds}: {a.nonzero} of {a.evals} evals have an interval off zero"
        f" ({a.evals / 20:.1f} expected by chance), {a.significant} after Benjamini-Hochberg (none"
        f" expected){caveat}."
    )


def _structure(f: Findings) -> str:
    s = f.structure
    assert s is not None
    models = len(f.arms) * len(f.experiment.seeds)
    correlation = " to ".join(map(signed, s.spearman_null))
    component = " to ".join(map(percent, s.component_null))
    return (
        f"Shared structure over {models} models, capability regressed out: mean pairwise Spearman"
        f" {signed(s.spearman)} (shuffled: {correlation}), first principal component"
        f" {percent(s.component)} (shuffled: {component})."
    )


def compute(f: Findings) -> str:
    """What every arm used of each thing that must be equal, in one line."""
    if f.unmatched:
        return f"NOT equal in all arms: {several(f.unmatched)}"
    total, seeds = f.arms[0].total, len(f.experiment.seeds)
    steps = sum(r.steps for r in f.arms[0].runs)
    over = f" over {seeds} seeds" if seeds > 1 else ""
    return (
        f"{steps:,} steps, {total.prompts:,} prompts, {total.completions:,} completions{over},"
        " equal in all arms"
    )
