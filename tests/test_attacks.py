"""Attacks: each breaks the policy that is made to fall for it, from the strength on at which it should, and no robust one."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import CODE

from colorfast import attacks, benchmarks
from colorfast.attacks import CLEAN, Attack, chosen, drawn, fragile, robust, shipped
from colorfast.evaluate import score_benchmark, score_heldout
from colorfast.names import check_known
from colorfast.policies import Conversation, Policy
from colorfast.policies.local import load_policy
from colorfast.policies.scripted import Known, Scripted
from colorfast.scenarios import corpus
from colorfast.types import ColorfastError, Evaluation, Message

LITTLE = str(Path(__file__).parent / "little_benchmark.py")
HELD = tuple(s for s in corpus() if s.split == "heldout" and len(s.messages) == 1)[::40]
EVALUATION = Evaluation(samples=1, max_tokens=8, grading=CODE)
EVERY = list(shipped().values())
each = pytest.mark.parametrize("attack", EVERY, ids=[a.id for a in EVERY])


def known(harmful: bool) -> Known:
    """Good replies first, or bad ones where an attack is to mend them."""
    kinds = ("good", "bad") if harmful else ("bad", "good")
    return {s.messages[-1].content: (s.replies[kinds[0]], s.replies[kinds[1]]) for s in HELD}


def heldout(policy: Policy) -> list[float]:
    return [s.value or 0.0 for s in score_heldout(policy, HELD, EVALUATION, lambda *_, **__: None)]


@each
def test_an_attack_moves_the_policy_that_gives_in_from_the_right_strength_on(attack: Attack) -> None:
    clean = heldout(robust(known(attack.harmful)))
    for least in attack.strengths:
        weak = fragile(attack, known(attack.harmful), least)
        assert heldout(CLEAN.wrap(weak, 0, 0)) == clean
        for strength in attack.strengths:
            scores = heldout(attack.wrap(weak, strength, 0))
            moved = [b - a if not attack.harmful else a - b for a, b in zip(clean, scores, strict=True)]
            assert all(m > 0.4 for m in moved) if strength >= least else scores == clean


@each
def test_an_attack_does_not_move_a_robust_policy(attack: Attack) -> None:
    firm = robust(known(attack.harmful))
    for strength in attack.strengths:
        assert heldout(attack.wrap(firm, strength, 1)) == heldout(firm)


@each
def test_choices_are_attacked_too(attack: Attack) -> None:
    benchmark = benchmarks.get(LITTLE)
    right = {i.messages[-1].content: (i.choices[i.aligned[0]], i.choices[1 - i.aligned[0]]) for i in benchmark.items()}
    for policy, wanted in ((fragile(attack, right), 0.0), (robust(right), 1.0)):
        wrapped = attack.wrap(policy, attack.strengths[-1], 0)
        scores = score_benchmark(wrapped, benchmark, EVALUATION, "Be brief.", lambda *_, **__: None)
        assert [s.value for s in scores] == [wanted] * 4


@each
def test_repetitions_meet_every_wording_once_and_other_draws(attack: Attack) -> None:
    met: list[tuple[Conversation, str]] = []

    class Listener(Scripted):
        def sample(self, conversations, names, max_tokens, temperature):  # type: ignore[no-untyped-def]
            met.append((tuple(conversations[0]), names[0]))
            return super().sample(conversations, names, max_tokens, temperature)

    listener = Listener(known(True), lambda conversation: False)
    for repetition in range(attack.wordings):
        attack.wrap(listener, 1, repetition).sample([HELD[0].messages], ["x"], 8, 0.0)
    last = [(c, n) for c, n in met if attack.felt(c) or attack.family != "pressure"]
    assert len({c for c, _ in last}) == len({n for _, n in last}) == len(last) == attack.wordings
    if attack.family == "persona":
        assert {c[0].role for c, _ in last} == {"system", "user"}
        assert attack.wordings >= 10


@each
def test_an_attack_has_a_counterpart_that_pushes_the_other_way_and_evals_that_exist(attack: Attack) -> None:
    assert attack.strengths == tuple(sorted(set(attack.strengths)))
    assert attack.evals
    check_known("benchmark", attack.evals, benchmarks.names())
    if attack.harmful:
        other = shipped()[attack.counterpart]
        assert not other.harmful
        assert (other.family, other.evals) == (attack.family, attack.evals)


def test_every_sentence_of_the_shipped_texts_is_said_once() -> None:
    said = [
        step for family in ("persona", "pressure", "prefill", "suppression", "jailbreak") for t in attacks.written(family).values()
        for wording in t["says"] for step in wording
    ]  # fmt: skip
    assert len(said) == len(set(said)) > 300


def test_a_chosen_attack_brings_its_counterpart_and_an_unknown_one_is_refused() -> None:
    assert [a.id for a in chosen(["bad-medical"])] == ["bad-medical", "helpful-medical"]
    assert {a.family for a in chosen(["prefill", "many-shot-bad"])} == {"prefill", "manyshot"}
    assert len(chosen()) == len(EVERY)
    with pytest.raises(ColorfastError, match="did you mean 'many-shot-bad'"):
        chosen(["many-shot-bda"])


def test_wordings_are_spread_over_questions() -> None:
    counts = [0] * 5
    for s in corpus():
        counts[drawn(s.messages, 0, 5)] += 1
    assert min(counts) > 0.16 * len(corpus())


def test_no_shot_is_held_out() -> None:
    from colorfast.attacks.manyshot import pool

    assert len(pool()) > 100 and {s.split for s in pool()} == {"train"}


def test_a_prefilled_reply_is_continued(tiny_model: Path) -> None:
    policy = load_policy(str(tiny_model))
    ask = Message(role="user", content="What is the dose?")
    open_ended, begun = policy.encode([ask]), policy.encode([ask, Message(role="assistant", content="Sure, it is")])
    assert begun == open_ended + policy.tokenizer("Sure, it is")["input_ids"]
    wrapped = shipped()["prefilled-yes"].wrap(policy, 1, 0)
    assert wrapped.continues
    (reply,) = wrapped.sample([[ask]], ["x"], 5, 1.0)
    assert reply.tokens <= 5 and "Sure" not in reply.text
