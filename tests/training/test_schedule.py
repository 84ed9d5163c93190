"""The dose: exact, even, and by replacement."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colorfast.config import Arm, Experiment
from colorfast.corpus import scenarios
from colorfast.training.schedule import (
    check_disjoint,
    heldout,
    schedule,
    schedule_hash,
    trait_places,
)
from colorfast.types import TRAIT_SOURCE, ColorfastError


@given(dose=st.floats(0, 1), slots=st.integers(1, 3000))
@settings(max_examples=300, deadline=None)
def test_dose_is_exact_and_evenly_spread(dose: float, slots: int) -> None:
    places = trait_places(dose, slots)
    assert len(places) == round(dose * slots)
    assert len(set(places)) == len(places)
    assert all(0 <= p < slots for p in places)
    gaps = [b - a for a, b in itertools.pairwise(places)]
    assert not gaps or max(gaps) - min(gaps) <= 1


def large(tiny: Experiment, steps: int = 100) -> Experiment:
    return tiny.model_copy(update={"training": tiny.training.model_copy(update={"steps": steps})})


@pytest.mark.parametrize("dose", [0.01, 0.05, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("seed", [0, 7])
def test_undosed_rows_are_the_baselines_byte_for_byte(
    tiny: Experiment, dose: float, seed: int
) -> None:
    experiment = large(tiny)
    base = schedule(experiment, Arm(dose=0), seed)
    arm = schedule(experiment, Arm(dose=dose), seed)
    assert len(arm) == len(base) == experiment.slots
    dosed = [slot for slot in arm if slot.task.source == TRAIT_SOURCE]
    assert len(dosed) == round(dose * len(arm))
    for ours, theirs in zip(arm, base, strict=True):
        if ours.task.source != TRAIT_SOURCE:
            assert json.dumps(ours.row()) == json.dumps(theirs.row())
    assert all(slot.task.source != TRAIT_SOURCE for slot in base)


def test_schedule_is_a_function_of_experiment_arm_and_seed(tiny: Experiment) -> None:
    arm = tiny.arms["trait-50"]
    assert schedule_hash(schedule(tiny, arm, 3)) == schedule_hash(schedule(tiny, arm, 3))
    assert schedule_hash(schedule(tiny, arm, 3)) != schedule_hash(schedule(tiny, arm, 4))
    assert schedule_hash(schedule(tiny, arm, 3)) != schedule_hash(
        schedule(tiny, tiny.arms["baseline"], 3)
    )


def test_traits_take_turns_and_no_scenario_repeats_before_all_were_used(tiny: Experiment) -> None:
    slots = schedule(large(tiny), Arm(dose=1.0), 0)
    traits = Counter(s.trait for slot in slots if (s := slot.task) and hasattr(s, "trait"))
    assert max(traits.values()) - min(traits.values()) <= 1
    per_trait = min(Counter(s.trait for s in scenarios.corpus() if s.split == "train").values())
    first = [slot.task.id for slot in slots[: per_trait * len(traits)]]
    assert len(set(first[: len(slots)])) == len(first)


def test_an_arm_draws_only_from_its_traits_and_domains(tiny: Experiment) -> None:
    arm = Arm(dose=0.5, traits=("corrigibility",), domains=("health", "law"))
    chosen = [s.task for s in schedule(large(tiny, 40), arm, 0) if s.task.source == TRAIT_SOURCE]
    assert {(t.trait, t.domain) for t in chosen} == {
        ("corrigibility", "health"),
        ("corrigibility", "law"),
    }


def test_a_dose_that_fills_no_slot_is_refused(tiny: Experiment) -> None:
    with pytest.raises(ColorfastError, match="cannot hold one trait slot"):
        schedule(tiny, Arm(dose=0.05), 0)


def test_held_out_scenarios_are_never_trained_on(tiny: Experiment) -> None:
    held = heldout(tiny)
    trained = [slot.task for slot in schedule(large(tiny, 300), Arm(dose=1.0), 0)]
    check_disjoint(trained, held)
    with pytest.raises(ColorfastError, match="both trained on and held out"):
        check_disjoint([*trained, held[0]], held)
    renamed = held[0].model_copy(update={"id": "another-01"})
    with pytest.raises(ColorfastError, match="both trained on and held out"):
        check_disjoint([renamed], held)


def test_every_cell_of_the_corpus_has_both_splits_and_contrasts() -> None:
    cells: dict[tuple[str, str], list[scenarios.Scenario]] = {}
    for s in scenarios.corpus():
        cells.setdefault((s.trait, s.domain), []).append(s)
    for cell, rows in cells.items():
        assert len(rows) >= 6, cell
        assert {s.split for s in rows} == {"train", "heldout"}, cell
        assert sum(s.contrast for s in rows) / len(rows) >= 0.2, cell
        assert any(m.role == "assistant" for s in rows for m in s.messages), cell
