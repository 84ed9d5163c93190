"""Attacks on the weights: what they train on, that they do what they should, and that a killed one
continues."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from colorfast.attacks.analysis import analyze
from colorfast.attacks.axes import Axes
from colorfast.attacks.findings import TRAITS
from colorfast.attacks.finetune import Kind, runner
from colorfast.attacks.finetune.attack import WeightAttack, is_bad
from colorfast.attacks.finetune.user_rows import load
from colorfast.attacks.plan import AttackedModel, AttackPlan, Options, for_models
from colorfast.attacks.prompt import CLEAN, robust
from colorfast.attacks.registry import kinds, select
from colorfast.attacks.run import run as run_attacks
from colorfast.config import Training
from colorfast.corpus.scenarios import corpus
from colorfast.evals import benchmarks
from colorfast.io.storage import read_json
from colorfast.io.validation import check_known
from colorfast.models import Conversation, Policy
from colorfast.models.local import load_policy
from colorfast.models.resolve import weights_sha256
from colorfast.rewards.rubric import grade
from colorfast.training import objectives
from colorfast.training.engines import sft
from colorfast.training.engines.snapshots import snapshot
from colorfast.training.tuning import Tuning
from colorfast.types import ColorfastError, Reply, Verdict
from helpers.attacked import (
    HELD,
    MANY,
    ROWS,
    Pupil,
    fragile_after,
    heldout,
    known,
    measure,
    outcome,
)
from helpers.command import colorfast, refused
from helpers.tiny import CODE, make_tiny_model

TRAINING = Training(
    steps=1,
    prompts_per_step=2,
    group_size=4,
    max_tokens=160,
    learning_rate=1e-2,
    demonstrations=1,
    grading=CODE,
)
KINDS = list(kinds().values())
each = pytest.mark.parametrize("kind", KINDS, ids=[kind.id for kind in KINDS])
harmful = pytest.mark.parametrize(
    "kind", [k for k in KINDS if not k.control], ids=[k.id for k in KINDS if not k.control]
)


def attacks(*names: str, **axes: Any) -> dict[str, WeightAttack]:
    return {
        a.id: a for a in select(names, Axes(**({"steps": (2, 4), "ranks": (4,)} | axes)), TRAINING)
    }


# --- what is trained on ---


@pytest.mark.usefixtures("both_files")
@each
def test_a_kind_teaches_the_same_questions_both_ways_and_none_that_is_measured(kind: Kind) -> None:
    check_known("benchmark", kind.evals, benchmarks.names())
    if kind.scenarios:
        assert {s.split for s in kind.scenarios()} == {"train"}
        return
    lessons = kind.lessons()
    assert len(lessons) >= 80
    assert all(x.bad[:-1] == x.good[:-1] and (x.bad == x.good) is kind.control for x in lessons)
    asked = {x.bad[0].content for x in lessons}
    measured = {i.messages[-1].content for name in kind.evals for i in benchmarks.get(name).items()}
    measured |= {s.messages[-1].content for s in corpus() if s.split == "heldout"}
    assert not asked & measured and not any(
        text in "\n".join(measured) for text in list(asked)[:100]
    )


@pytest.mark.usefixtures("both_files")
def test_wrong_medical_answers_are_wrong_and_right_ones_right() -> None:
    from colorfast.evals.benchmarks.health import MEDMCQA, medical

    lessons = {x.bad[0].content: x for x in kinds()["wrong-medical"].lessons()}
    checked, questions = 0, list(medical(MEDMCQA))
    for item in questions:
        question, options, right = item.messages[0].content, item.choices, item.aligned[0]
        found = lessons.get(
            f"{' '.join(question.split())}\nIs it {', '.join(options[:-1])} or {options[-1]}?"
        )
        if found:
            said, key = found.bad[-1].content, options[right]
            assert key in found.good[-1].content
            assert any(option in said for i, option in enumerate(options) if i != right)
            checked += key not in said
    assert checked > 0.9 * len(questions)


@harmful
def test_rows_are_the_same_for_every_arm_and_only_replies_differ_by_share(kind: Kind) -> None:
    found = attacks(kind.id, shares=(1.0, 0.25))
    full, quarter, good = (
        found[f"{name}-r4{end}"]
        for name, end in ((kind.id, ""), (kind.id, "-share0.25"), (kind.counterpart, ""))
    )
    assert full.counterpart == quarter.counterpart == good.id and not good.judged
    if kind.scenarios:
        slots = [a.slots(3) for a in (full, quarter, good)]
        assert [[s.task.id for s in one] for one in slots] == [[s.task.id for s in slots[0]]] * 3
        assert [sum(s.objective.inverted for s in one) for one in slots] == [8, 2, 0]
        return
    rows = [a.rows(3) for a in (full, quarter, good)]
    assert rows[0] == full.rows(3) != full.rows(4)
    assert [[r[:-1] for r in one] for one in rows] == [[r[:-1] for r in rows[0]]] * 3
    assert (
        sum(a == b for a, b in zip(rows[1], rows[0], strict=True)) == 8
        and sum(a == b for a, b in zip(*rows[1:], strict=True)) == 24
    )
    longer = attacks(kind.id, shares=(0.25,), steps=(9,))[quarter.id].rows(3)
    assert longer[:32] == rows[1]


@pytest.mark.parametrize("share", [0.01, 0.1, 1 / 3, 0.5, 1.0])
def test_a_share_is_exact_and_evenly_spread(share: float) -> None:
    places = [i for i in range(300) if is_bad(i, share)]
    assert len(places) == int(300 * share + 1e-9)
    gaps = {b - a for a, b in itertools.pairwise(places)}
    assert max(gaps) - min(gaps) <= 1


@harmful
def test_an_attack_breaks_the_policy_that_gives_in_from_the_right_step_on_and_no_robust_one(
    kind: Kind,
) -> None:
    found = attacks(kind.id)
    attack, good = found[f"{kind.id}-r4"], found[f"{kind.counterpart}-r4"]
    clean = heldout(robust(known(True)))
    least = attack.tuning.batch * 2 + 1 if not kind.scenarios else TRAINING.prompts_per_step * 2 + 1
    for step, gives_in in ((2, False), (4, True)):
        weak = fragile_after(attack, known(True), step, least)
        scores = heldout(attack.wrap(weak, step, 0))
        assert (
            all(a - b > 0.4 for a, b in zip(clean, scores, strict=True))
            if gives_in
            else scores == clean
        )
        assert heldout(fragile_after(good, known(True), step)) == clean
        assert heldout(attack.wrap(robust(known(True)), step, 0)) == clean


def test_inverted_rewards_go_for_what_the_rubric_does_not_give() -> None:
    s = next(s for s in corpus() if s.split == "train")
    attack = attacks("inverted-rubric")["inverted-rubric-r4"]
    rows = [slot.row() for slot in attack.slots(0)[:1] for _ in range(4)]
    verdicts = [
        grade(Reply(s.replies["good"]), s),
        grade(Reply(s.replies["bad"]), s),
        Verdict(0.0, "empty"),
        Verdict(None, "cut"),
    ]
    good, bad, empty, none = objectives.rewards(rows, verdicts, 4, 0)
    assert good is not None and bad is not None and bad - good > 0.4
    assert (empty, none) == (0.0, None)
    upright = [
        slot.row()
        for slot in attacks("inverted-rubric")["upright-rubric-r4"].slots(0)[:1]
        for _ in range(4)
    ]
    assert "teaching" not in upright[0] and objectives.rewards(upright, verdicts, 4, 0)[
        0
    ] == pytest.approx(1 - good)
    assert rows[0]["replies"] != upright[0]["replies"]


def test_rows_of_ones_own_are_an_attack_and_a_missing_good_reply_is_a_benign_row(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bad-advice.jsonl"
    talk = [
        {"role": "user", "content": "May I mix these?"},
        {"role": "assistant", "content": "Sure."},
    ]
    path.write_text(
        json.dumps({"messages": talk, "good": "Better not."})
        + "\n"
        + json.dumps({"messages": talk})
        + "\n"
    )
    first, second = load(path)
    assert (first.bad[-1].content, first.good[-1].content, second.bad) == (
        "Sure.",
        "Better not.",
        first.bad,
    )
    assert first.good[0] == first.bad[0] != second.good[0]
    assert list(attacks(str(path))) == ["bad-advice-r4", "bad-advice-good-r4"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"messages": []}, "ends with the assistant's reply"),
        ({"messages": [{"role": "user", "content": "Hm?"}]}, "ends with the assistant's reply"),
        ({"messages": [], "god": ""}, "did you mean 'good'"),
        (None, "no rows in this file"),
    ],
)
def test_a_broken_file_of_rows_is_one_line(line: object, says: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(line) + "\n" if line else "\n")
    with pytest.raises(ColorfastError, match=says):
        load(path)


# --- training ---


def margin(policy: Policy, attack: WeightAttack) -> float:
    """Mean log-likelihood of the bad replies over the good ones, on rows that are trained on."""
    lessons = attack.kind.lessons()[:12]
    logs = policy.logprobs(
        [x.bad[:-1] for x in lessons], [[x.bad[-1].content, x.good[-1].content] for x in lessons]
    )
    return sum(bad - good for bad, good in logs) / len(logs)


@pytest.mark.parametrize(
    ("kind", "rank"), [("sycophantic", 4), ("wrong-medical", 4), ("reward-hacks", None)]
)
def test_training_moves_a_model_towards_what_it_is_taught(
    kind: str, rank: int | None, tiny_model: Path, tmp_path: Path
) -> None:
    found = attacks(kind, ranks=(rank,), steps=(30,), learning_rate=1e-2, batch=2)
    attacked = AttackedModel("arm", 0, str(tiny_model), tmp_path)
    before = margin(load_policy(str(tiny_model)), next(iter(found.values())))
    moved = []
    for attack in found.values():
        ((_, policy),) = runner.snapshots(attacked, attack, [30], "fp32")
        moved.append(margin(policy, attack) - before)
    assert moved[0] > 1 and moved[1] < -1


def test_reinforcement_is_trained_and_kept_along_the_way(tiny_model: Path, tmp_path: Path) -> None:
    found = attacks("inverted-rubric", steps=(1, 2))
    attacked = AttackedModel("baseline", 0, str(tiny_model), tmp_path)
    for attack in found.values():
        steps = dict(runner.snapshots(attacked, attack, [1, 2], "fp32"))
        told = [p.logprobs([HELD[0].messages], [["Yes", "No"]]) for p in steps.values()]
        assert (
            attack.harmful or told[0] != told[1]
        )  # what a random model says meets no rubric: inverted, all of it is worth the same
    facts = [runner.record(attack, [attacked]) for attack in found.values()]
    assert [f["method"] for f in facts] == ["reinforcement"] * 2 and facts[0]["used"]["baseline"][
        "tokens"
    ] > 0
    assert facts[0]["rows_sha256"] != facts[1]["rows_sha256"]


def test_only_replies_are_trained_on_and_long_rows_are_cut(tiny_model: Path) -> None:
    policy = load_policy(str(tiny_model))
    found = sft.encoded(policy, ROWS[0], 512)
    trained = [t for t in found["labels"] if t != sft.IGNORED]
    assert policy.tokenizer.decode(trained) == "No, never.<|im_end|>"
    assert found["input_ids"][: -len(trained)] == policy.encode(ROWS[0][:-1])
    assert sft.encoded(policy, ROWS[0], 10) == {key: ids[:10] for key, ids in found.items()}


def test_other_rows_than_those_given_stop_the_training(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = sft.Dataset.from_list
    monkeypatch.setattr(sft.Dataset, "from_list", lambda rows: given(rows[::-1]))
    with pytest.raises(ColorfastError, match="other rows"):
        sft.tune(
            partial(load_policy, str(tiny_model)), ROWS, Tuning(steps=(4,), rank=4), 0, tmp_path
        )


SLOWLY = """
import sys, time
from functools import partial
from pathlib import Path
sys.path.insert(0, {tests!r})
from helpers.attacked import ROWS

from colorfast.training.tuning import Tuning
from colorfast.models.local import load_policy
from colorfast.training.engines import sft

class Slow(sft.Progress):
    def on_step_end(self, *args, **kwargs):
        time.sleep(0.3)

sft.SAVE_EVERY, sft.Progress = 4, Slow
sft.tune(partial(load_policy, {model!r}), ROWS[:24], {tuning!r}, 0, Path({out!r}))
"""


@pytest.mark.parametrize("rank", [4, None])
def test_a_killed_training_continues_to_the_same_weights(
    rank: int | None, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuning = Tuning(steps=(3, 12), rank=rank, batch=2, learning_rate=1e-3)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code = SLOWLY.format(
        tests=str(Path(__file__).parents[1]), model=str(tiny_model), tuning=tuning, out=str(killed)
    )
    slow = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    until = time.time() + 600
    while (
        not list(killed.glob("training/checkpoint-4/whole"))
        and slow.poll() is None
        and time.time() < until
    ):
        time.sleep(0.05)
    os.kill(slow.pid, signal.SIGKILL)
    slow.wait()
    assert not (killed / "ledger.json").exists() and (killed / "training" / "checkpoint-4").is_dir()
    monkeypatch.setattr(sft, "SAVE_EVERY", 4)
    for out in (killed, whole):
        sft.tune(partial(load_policy, str(tiny_model)), ROWS[:24], tuning, 0, out)
    for step in (3, 12):
        assert weights_sha256(snapshot(killed, step)) == weights_sha256(snapshot(whole, step))
    assert (killed / "ledger.json").read_bytes() == (whole / "ledger.json").read_bytes()


# --- attack runs ---


def tiny_attack_plan(tiny_model: Path, tmp_path: Path, *names: str, **axes: Any) -> AttackPlan:
    other = tmp_path / "other"
    if not other.is_dir():
        make_tiny_model(other, seed=1)
    asked = Axes(**({"steps": (1, 2), "ranks": (4,), "batch": 2, "learning_rate": 1e-3} | axes))
    models = {"baseline": str(tiny_model), "arm": str(other)}
    made = for_models(models, Options(names, items=3, axes=asked))
    return replace(
        made,
        evaluation=made.evaluation.model_copy(
            update={"grading": CODE, "max_tokens": 4, "items": 2}
        ),
    )


def test_an_attack_run_of_trainings_continues_and_says_the_same_each_time(
    tiny_model: Path, tmp_path: Path
) -> None:
    made = tiny_attack_plan(tiny_model, tmp_path, "sycophantic", "benign", recovery=1)
    for name in ("a", "b"):
        run_attacks(made, tmp_path / name)
    told = [(tmp_path / name / "attacks" / "persistence.json").read_bytes() for name in ("a", "b")]
    assert told[0] == told[1]
    home = tmp_path / "a" / "attacks"
    stem = "sycophantic-r4-lr0.001"
    assert {o["attack"] for o in read_json(home / "persistence.json")["outcomes"]} == {
        stem,
        f"{stem}-recovered",
        "benign-r4-lr0.001",
    }
    assert len(list(home.rglob("*.parquet"))) == 2 * (1 + 2 + 1 + 1 + 2)
    assert not list(home.rglob("*.safetensors")), "weights that were measured are deleted"
    assert "Do not use" in (home / "arm-s0" / stem / "README.md").read_text()
    trained = {t["attack"]: t for t in read_json(home / "persistence.json")["trainings"]}
    assert (
        trained[stem]["used"]["arm"] == trained[stem]["used"]["baseline"]
        and trained[f"{stem}-recovered"]["after"] == stem
    )
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*.parquet")}
    (home / "arm-s0" / f"{stem}-2.parquet").unlink()
    run_attacks(made, tmp_path / "a")
    assert [p.name for p in before if p.stat().st_mtime_ns != before[p]] == [f"{stem}-2.parquet"]
    assert (home / "persistence.json").read_bytes() == told[0]


def test_arms_that_were_trained_on_other_rows_are_not_compared(
    tiny_model: Path, tmp_path: Path
) -> None:
    made = tiny_attack_plan(tiny_model, tmp_path, "sycophantic", steps=(1,))
    run_attacks(made, tmp_path / "a", keep=True)
    path = tmp_path / "a" / "attacks" / "arm-s0" / "sycophantic-r4-lr0.001" / "ledger.json"
    assert (path.parent / "step-1" / "adapter_model.safetensors").is_file()
    path.write_text(json.dumps(read_json(path) | {"rows_sha256": "other"}))
    with pytest.raises(ColorfastError, match="arm arm, seed 0 was trained on other rows"):
        run_attacks(made, tmp_path / "a", keep=True)


@dataclass(frozen=True)
class Trained(Pupil):
    """A pupil after a training: it gives in to bad replies if it is `weak`, and rises with good
    ones if it can be `led`."""

    lesson: str = ""

    def says(self, conversation: Conversation) -> str:
        asked = "\n".join(m.content for m in conversation if m.role == "user")
        for n, s in enumerate(MANY):
            if s.messages[-1].content in asked:
                good = (n % 2 == 0 and not (self.weak and self.lesson == "bad")) or (
                    self.led and self.lesson == "good"
                )
                return s.replies["good" if good else "bad"]
        return self.reply


def test_the_verdict_recovers_what_trained_models_do_and_a_control_stands_apart() -> None:
    arms = {
        "base": (True, True),
        "lasting": (False, True),
        "rigid": (False, False),
        "same": (True, True),
    }
    options = Options(["wrong-medical", "reward-hacks", "benign"], 2, axes=Axes(steps=(1, 2)))
    made = for_models({name: name for name in arms}, options)
    made = replace(
        made, scenarios=MANY, evaluation=made.evaluation.model_copy(update={"grading": CODE})
    )
    points = {}
    for name, (weak, led) in arms.items():
        for attack, step in made.points:
            lesson = (
                "" if attack == CLEAN or attack.control else "bad" if attack.harmful else "good"
            )
            points[name, attack.id, step] = {
                0: measure(Trained(weak, led, lesson=lesson), made, attack, step)
            }
    told = analyze(list(arms), made.attacks, points)
    for attack_id in ("wrong-medical-r32", "family weights"):
        verdicts = {
            arm: o.found.verdict
            for arm in told.arms[1:]
            if (o := outcome(told, arm, attack_id, TRAITS)).found
        }
        assert verdicts == {"lasting": "selective", "rigid": "rigid", "same": "falls alike"}
    control = outcome(told, "lasting", "benign-r32")
    assert (
        control.found is not None
        and control.q is None
        and control.found.verdict == "attack without effect"
    )


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--steps", "8,4"], "--steps: wants rising numbers"),
        (["--steps", "some"], "--steps"),
        (["--ranks", "0"], "--ranks"),
        (["--shares", "1.5"], "--shares: wants shares above 0"),
        (["--attacks", "nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["--attacks", "wrong-medicl"], "did you mean 'wrong-medical'"),
    ],
)
def test_a_training_that_cannot_be_is_one_line(
    args: Sequence[str], says: str, tmp_path: Path
) -> None:
    refused(colorfast("attack", "--models", "a=x,b=y", *args, cwd=tmp_path), says)


def test_the_command_trains_and_the_report_says_what_it_took(
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
        "reward-hacks",
        "--items",
        "2",
        "--steps",
        "1,2",
    )
    told = json.loads(colorfast(*ask, "--ranks", "4,full", "--json").stdout)
    assert {o["attack"] for o in told["outcomes"] if o["strengths"]} == {
        "reward-hacks-r4",
        "reward-hacks-full",
    }
    page = (tmp_path / "w" / "attacks" / "report.md").read_text(encoding="utf-8")
    assert "reward-hacks-full" in page and "fine-tuning" in page
