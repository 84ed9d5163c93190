"""Attacks: each breaks the policy that is made to fall for it, from the strength on at which it
should, and no robust one."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from colorfast.attacks.findings import ALL, BEHAVIOUR
from colorfast.attacks.prompt import CLEAN, Attack, fragile, robust, wording_index
from colorfast.attacks.prompt.texts import load_texts
from colorfast.attacks.registry import prompt_attacks, select
from colorfast.attacks.run import run as run_attacks
from colorfast.corpus.scenarios import corpus
from colorfast.evals import benchmarks
from colorfast.evals.scoring import score_benchmark
from colorfast.io.storage import write_json
from colorfast.io.validation import check_known
from colorfast.models import Conversation
from colorfast.models.cached_policy import CachedPolicy
from colorfast.models.local import load_policy
from colorfast.models.request_batcher import Asker, SampleRequest, run_batched
from colorfast.models.scripted import Scripted
from colorfast.report.attacks import show
from colorfast.stats.rows import flat
from colorfast.types import ColorfastError, Message
from helpers.attacked import (
    ATTACKED,
    EVALUATION,
    HELD,
    MANY,
    Pupil,
    heldout,
    known,
    outcome,
    tiny_attack_plan,
    told_of,
)
from helpers.command import colorfast, refused
from helpers.run_folders import HOSTILE, experiment, html, make_run, mixed, section
from helpers.tiny import LITTLE, make_tiny_model

EVERY = list(prompt_attacks().values())
each = pytest.mark.parametrize("attack", EVERY, ids=[a.id for a in EVERY])


@each
def test_an_attack_moves_the_policy_that_gives_in_from_the_right_strength_on(
    attack: Attack,
) -> None:
    clean = heldout(robust(known(attack.harmful)))
    for least in attack.strengths:
        weak = fragile(attack, known(attack.harmful), least)
        assert heldout(CLEAN.wrap(weak, 0, 0)) == clean
        for strength in attack.strengths:
            scores = heldout(attack.wrap(weak, strength, 0))
            moved = [
                b - a if not attack.harmful else a - b for a, b in zip(clean, scores, strict=True)
            ]
            assert all(m > 0.4 for m in moved) if strength >= least else scores == clean


@each
def test_an_attack_does_not_move_a_robust_policy(attack: Attack) -> None:
    firm = robust(known(attack.harmful))
    for strength in attack.strengths:
        assert heldout(attack.wrap(firm, strength, 1)) == heldout(firm)


@each
def test_choices_are_attacked_too(attack: Attack) -> None:
    benchmark = benchmarks.get(LITTLE)
    right = {
        i.messages[-1].content: (i.choices[i.aligned[0]], i.choices[1 - i.aligned[0]])
        for i in benchmark.items()
    }
    for policy, wanted in ((fragile(attack, right), 0.0), (robust(right), 1.0)):
        wrapped = attack.wrap(policy, attack.strengths[-1], 0)
        scores = score_benchmark(wrapped, benchmark, EVALUATION, "Be brief.", lambda *_, **__: None)
        assert [s.value for s in scores] == [wanted] * 4


@each
def test_repetitions_meet_every_wording_once_and_other_draws(attack: Attack) -> None:
    met: list[tuple[Conversation, str]] = []

    class Listener(Scripted):
        def sample(self, conversations, names, max_tokens, temperature):
            met.append((tuple(conversations[0]), names[0]))
            return super().sample(conversations, names, max_tokens, temperature)

    listener = Listener(known(True), lambda conversation: False)
    for repetition in range(attack.wordings):
        attack.wrap(listener, 1, repetition).sample([HELD[0].messages], ["x"], 8, 0.0)
    last = [(c, n) for c, n in met if attack.detect(c) or attack.family != "pressure"]
    assert len({c for c, _ in last}) == len({n for _, n in last}) == len(last) == attack.wordings
    if attack.family == "persona":
        assert {c[0].role for c, _ in last} == {"system", "user"}
        assert attack.wordings >= 10


@each
def test_an_attack_has_a_counterpart_that_pushes_the_other_way_and_evals_that_exist(
    attack: Attack,
) -> None:
    assert attack.strengths == tuple(sorted(set(attack.strengths)))
    assert attack.evals
    check_known("benchmark", attack.evals, benchmarks.names())
    if attack.harmful:
        other = prompt_attacks()[attack.counterpart]
        assert not other.harmful
        assert (other.family, other.evals) == (attack.family, attack.evals)


def test_every_sentence_of_the_shipped_texts_is_said_once() -> None:
    said = [
        step
        for family in ("persona", "pressure", "prefill", "suppression", "jailbreak")
        for t in load_texts(family).values()
        for wording in t.get("says", [])
        for step in wording
    ]
    assert len(said) == len(set(said)) > 300


def test_a_chosen_attack_brings_its_counterpart_and_an_unknown_one_is_refused() -> None:
    assert [a.id for a in select(["bad-medical"])] == ["bad-medical", "helpful-medical"]
    assert {a.family for a in select(["prefill", "many-shot-bad"])} == {"prefill", "manyshot"}
    assert len(select()) == len(EVERY)
    with pytest.raises(ColorfastError, match="did you mean 'many-shot-bad'"):
        select(["many-shot-bda"])


def test_wordings_are_spread_over_questions() -> None:
    counts = [0] * 5
    for s in corpus():
        counts[wording_index(s.messages, 0, 5)] += 1
    assert min(counts) > 0.16 * len(corpus())


def test_no_shot_is_held_out() -> None:
    from colorfast.attacks.prompt.manyshot import pool

    assert len(pool()) > 100 and {s.split for s in pool()} == {"train"}


def test_a_prefilled_reply_is_continued(tiny_model: Path) -> None:
    policy = load_policy(str(tiny_model))
    ask = Message(role="user", content="What is the dose?")
    open_ended, begun = (
        policy.encode([ask]),
        policy.encode([ask, Message(role="assistant", content="Sure, it is")]),
    )
    assert begun == open_ended + policy.tokenizer("Sure, it is")["input_ids"]
    wrapped = prompt_attacks()["prefilled-yes"].wrap(policy, 1, 0)
    assert wrapped.continues
    (reply,) = wrapped.sample([[ask]], ["x"], 5, 1.0)
    assert reply.tokens <= 5 and "Sure" not in reply.text


# --- several askers of one policy ---


class Counting(Scripted):
    """Notes how many conversations it was given in each call."""

    calls: list[int]

    def sample(self, conversations, names, max_tokens, temperature):  # type: ignore[no-untyped-def]
        self.calls.append(len(conversations))
        return super().sample(conversations, names, max_tokens, temperature)


def counting() -> Counting:
    policy = Counting(known(True), lambda conversation: False)
    object.__setattr__(policy, "calls", [])
    return policy


def test_askers_side_by_side_are_answered_in_one_batch_and_each_gets_its_own() -> None:
    policy = counting()

    def asking(n: int) -> Asker[list[str]]:
        texts = []
        for _ in range(n):
            replies = yield SampleRequest([HELD[n].messages], ["x"], 8, 0.0)
            texts += [r.text for r in replies]
        return texts

    results = run_batched(policy, [asking(n) for n in (1, 3, 2)])
    assert results == [[HELD[n].replies["good"]] * n for n in (1, 3, 2)]
    assert policy.calls == [3, 2, 1]


def test_a_failing_job_or_policy_leaves_nobody_waiting() -> None:
    def fails() -> Asker[None]:
        yield SampleRequest([HELD[0].messages], ["x"], 8, 0.0)
        raise KeyError("mine")

    def asks() -> Asker[None]:
        yield SampleRequest([HELD[0].messages], ["x"], 8, 0.0)

    with pytest.raises(KeyError, match="mine"):
        run_batched(counting(), [asks(), fails(), asks()])
    with pytest.raises(LookupError, match="no known question"):
        run_batched(Scripted({}, lambda conversation: False), [asks(), asks()])


def test_what_was_said_once_is_not_asked_again() -> None:
    policy = counting()
    remembering = CachedPolicy(policy)
    talk = [HELD[0].messages, HELD[1].messages, HELD[0].messages]
    replies = remembering.sample(talk, ["x", "x", "x"], 8, 0.7)
    assert replies[0] == replies[2] != replies[1]
    remembering.sample(talk, ["x", "x", "y"], 8, 0.7)
    assert policy.calls == [2, 1]


# --- attack runs ---


def test_the_analysis_recovers_what_scripted_models_do() -> None:
    told = told_of(
        base=Pupil(weak=True, led=True),
        lasting=Pupil(weak=False, led=True),
        rigid=Pupil(weak=False, led=False),
        same=Pupil(True, True),
    )
    for attack in (*ATTACKED, "family persona", ALL):
        verdicts = {
            arm: o.found.verdict for arm in told.arms[1:] if (o := outcome(told, arm, attack)).found
        }
        assert verdicts == {"lasting": "selective", "rigid": "rigid", "same": "falls alike"}
    found = outcome(told, "lasting", "bad-medical")
    assert found.found is not None and found.found.baseline.drop.value == pytest.approx(
        found.found.drop.value
    )
    assert [round(level.value.value, 3) for level in found.baseline_curve if level.value][1:] == [
        round(found.found.baseline.harmful, 3)
    ] * 3
    assert found.area is not None and found.area.value > 0
    assert outcome(told, "lasting", "bad-medical", BEHAVIOUR).found is not None
    assert {e.attack for e in told.examples if e.arm == "lasting" and e.gain > 0} == set(ATTACKED)
    assert all(p.coherent == 1 for p in told.points)


def test_a_policy_that_cannot_be_prefilled_is_not_measured_and_says_why() -> None:
    told = told_of(base=Pupil(True, True, continues=False), arm=Pupil(False, True, continues=False))
    assert outcome(told, "arm", "prefilled-yes").found is None
    assert outcome(told, "arm", "prefilled-yes").reason
    assert outcome(told, "arm", ALL).found is not None
    (point,) = (
        p for p in told.points if (p.arm, p.attack, p.strength) == ("arm", "prefilled-yes", 3)
    )
    assert (point.traits.value, point.refusals) == (None, None) and point.traits.ungraded == len(
        MANY
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_attack_run_continues_and_says_the_same_each_time(
    tiny_model: Path, tmp_path: Path, precision: str
) -> None:
    made = replace(tiny_attack_plan(tiny_model, tmp_path), precision=precision)
    for name in ("a", "b"):
        run_attacks(made, tmp_path / name)
    told = [(tmp_path / name / "attacks" / "persistence.json").read_bytes() for name in ("a", "b")]
    assert told[0] == told[1]
    home = tmp_path / "a" / "attacks"
    tables = sorted(home.rglob("*.parquet"))
    assert len(tables) == 2 * (1 + 2 * (3 + 1))
    assert "no training data" in (home / "README.md").read_text()
    before = {path: path.stat().st_mtime_ns for path in tables}
    (home / "arm-s0" / "are-you-sure-2.parquet").unlink()
    run_attacks(made, tmp_path / "a")
    changed = [path.name for path in tables if path.stat().st_mtime_ns != before[path]]
    assert changed == ["are-you-sure-2.parquet"]
    assert (home / "persistence.json").read_bytes() == told[0]
    with pytest.raises(ColorfastError, match=r"none-0.parquet: .* another way"):
        run_attacks(replace(made, scenarios=made.scenarios[:2]), tmp_path / "a")
    with pytest.raises(ColorfastError, match=r"none-0.parquet: .* another way"):
        run_attacks(
            replace(made, precision={"fp32": "bf16", "bf16": "fp32"}[precision]), tmp_path / "a"
        )


def test_the_attack_command_works_on_models_and_prints_for_people_and_programs(
    tiny_model: Path, tmp_path: Path
) -> None:
    models = f"baseline={tiny_model},arm={make_tiny_model(tmp_path / 'other', seed=1)}"
    ask = (
        "attack",
        "--models",
        models,
        "--out",
        str(tmp_path / "w"),
        "--attacks",
        "bad-medical,disallowed-mental-health",
        "--items",
        "2",
    )
    done = colorfast(*ask, "--json")
    told = json.loads(done.stdout)
    assert told["arms"] == ["baseline", "arm"]
    assert {o["attack"] for o in told["outcomes"]} == {
        "bad-medical",
        "disallowed-mental-health",
        "family persona",
        "all attacks",
    }
    out = io.StringIO()
    show(told, Console(file=out, width=100, highlight=False))
    for shown in (
        out.getvalue(),
        (tmp_path / "w" / "attacks" / "report.md").read_text(encoding="utf-8"),
    ):
        assert (
            "In the paper's form" in shown
            and "+0.132" in shown
            and "arm, held-out traits, 2 attacks" in shown
        )


@pytest.mark.slow
def test_arms_measured_at_once_say_what_they_say_one_by_one(
    tiny_model: Path, tmp_path: Path
) -> None:
    models = f"baseline={tiny_model},arm={make_tiny_model(tmp_path / 'other', seed=1)}"
    ask = (
        "attack",
        "--models",
        models,
        "--attacks",
        "prefilled-yes",
        "--items",
        "2",
        "--precision",
        "fp32",
        "--out",
    )
    one, two = (tmp_path / "one" / "attacks", tmp_path / "two" / "attacks")
    threads = {"OMP_NUM_THREADS": "2"}  # of which each of two has one
    colorfast(*ask, str(one.parent))
    done = colorfast(*ask, str(two.parent), "--jobs", "2", env=threads)
    assert done.returncode == 0, done.stderr
    assert (two / "arm-s0" / "log.txt").is_file() and not (one / "arm-s0" / "log.txt").exists()
    assert (one / "persistence.json").read_bytes() == (two / "persistence.json").read_bytes()
    refused_in_a_child = colorfast(*ask, str(two.parent), "--samples", "2", "--jobs", "2")
    assert refused_in_a_child.returncode == 2
    assert (
        "-s0 could not be measured" in refused_in_a_child.stderr
        and "another way" in refused_in_a_child.stderr
    )


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "give a run folder"),
        (["somewhere", "--models", "a=b,c=d"], "not both"),
        (["nowhere"], "not a run folder"),
        (["--models", "a"], "name=MODEL"),
        (["--models", "a=x,b=y", "--attacks", "bad-medicl"], "did you mean 'bad-medical'"),
        (["--models", "a=x,b=y", "--arms", "a"], "--arms narrows a run"),
        (["--models", "a=/nowhere,b=/nowhere"], "/nowhere"),
    ],
)
def test_what_cannot_be_attacked_is_one_line(args: list[str], says: str, tmp_path: Path) -> None:
    refused(colorfast("attack", *args, cwd=tmp_path), says)
    assert not list(tmp_path.rglob("*.parquet"))


# --- the report ---


def test_a_run_that_was_attacked_has_a_section_safe_against_its_replies(tmp_path: Path) -> None:
    run = make_run(tmp_path, experiment(), mixed)
    assert 'id="attacks"' not in html(run)
    told = flat(
        told_of(baseline=Pupil(weak=True, led=True), **{"trait-50": Pupil(weak=False, led=True)})
    )
    for example in told["examples"]:
        example["baseline"][1]["text"] = HOSTILE
    write_json(run / "attacks" / "persistence.json", json.loads(json.dumps(told)))
    page = html(run)
    shown = section(page, "attacks")
    for text in (
        "bad-medical",
        "selective",
        "disallowed mental health",
        "Before and under attack",
        "0.395",
    ):
        assert text in shown
    report = {p.name for p in (run / "report").iterdir()}
    assert {"attacks.csv", "attack-levels.csv", "attacks-held-out-traits.svg"} <= report
    assert "## Under attack" in (run / "report" / "report.md").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "evil.example/x.png&#34;" in page
    assert page.count("<svg ") == sum(name.endswith(".svg") for name in report)
    assert html(run) == page
    for point in told["points"]:  # as a version without `--suite` wrote it
        del point["suite"]
    write_json(run / "attacks" / "persistence.json", json.loads(json.dumps(told)))
    assert 'id="attacks"' in html(run)
