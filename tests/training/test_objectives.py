"""Arms and methods: what each of them is given, what it trains on, and that nothing else
changes."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from colorfast.analysis.explanations import HEDGING, OTHERS, explanations
from colorfast.config import Arm, Endpoint, Evaluation, Experiment, Grading
from colorfast.corpus import constitution
from colorfast.corpus.scenarios import corpus
from colorfast.evals import benchmarks
from colorfast.io.tables import read_rows
from colorfast.models.resolve import weights_sha256
from colorfast.rewards.select import graders
from colorfast.runs import experiment
from colorfast.runs.plan import plan
from colorfast.training import objectives
from colorfast.training.engines import recorder, trl
from colorfast.training.schedule import heldout, pool, schedule, schedule_hash, unseen
from colorfast.types import (
    PLAIN,
    TRAIT_SOURCE,
    Interval,
    Message,
    Objective,
    Reply,
    Score,
    Slot,
    Verdict,
)
from helpers.constitutions import OURS, SPEC
from helpers.run_folders import flat, html, make_run, printed, section
from helpers.server import said
from helpers.slots import SETTINGS, slots
from helpers.tiny import write_toml

BEST, SFT, DELIBERATIVE = (
    Objective("best-of-n"),
    Objective("constitution-sft"),
    Objective("deliberative"),
)
PLACEBO, PLAIN_ARM = Arm(dose=0.5, reward="placebo"), Arm(dose=0.5)
ARMS = {
    "best-of-n": Arm(dose=0.5, objective="best-of-n"),
    "constitution-sft": Arm(dose=0.5, objective="constitution-sft", reward="constitution"),
    "deliberative": Arm(dose=0.5, objective="deliberative", reward="constitution"),
    "constitution-rl": Arm(dose=0.5, reward="constitution"),
    "placebo": PLACEBO,
}
GRADES = st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=2, max_size=8)


def graded(*scores: float | None) -> list[Verdict]:
    return [Verdict(s, "not judged" if s is None else "") for s in scores]


# the placebo


@given(GRADES, st.text(max_size=9))
def test_a_placebo_keeps_the_set_of_rewards_and_who_has_none(
    rewards: list[float | None], name: str
) -> None:
    dealt = objectives.permuted(rewards, name)
    assert Counter(dealt) == Counter(rewards)
    assert [r is None for r in dealt] == [r is None for r in rewards]
    assert dealt == objectives.permuted(rewards, name)


def test_a_placebos_rewards_say_nothing_about_the_replies() -> None:
    """Over many groups no reply, the shown first one included, can expect more than another."""
    rows = [[0.9, 0.5, 0.1, 0.0]] * 4000
    dealt = np.array([objectives.permuted(row, f"placebo-0-{i}") for i, row in enumerate(rows)])
    assert abs(np.corrcoef(np.array(rows).ravel(), dealt.ravel())[0, 1]) < 0.02
    assert np.allclose(dealt.mean(0), np.mean(rows[0]), atol=0.02)


def rollouts(folder: Path) -> list[dict[str, Any]]:
    return [r for path in sorted((folder / "rollouts").glob("*.parquet")) for r in read_rows(path)]


def groups(rows: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    return {slot: list(group) for slot, group in itertools.groupby(rows, key=lambda r: r["slot"])}


def lowercase(n: int, how: Objective) -> tuple[Slot, ...]:
    """Trait slots whose reward a random model already earns by chance, taught in one way."""
    return tuple(
        Slot(s.index, s.step, s.task, how if s.task.source == TRAIT_SOURCE else PLAIN)
        for s in slots(n)
    )


ON_CHANCE = SETTINGS.model_copy(update={"grading": Grading(kind="code")})


def test_in_a_placebo_run_advantages_are_centred_and_are_the_groups_own_in_another_order(
    tiny_model: Path, tmp_path: Path
) -> None:
    trl.train(
        str(tiny_model), lowercase(6, Objective(shuffled=True)), ON_CHANCE, 0, tmp_path / "run"
    )
    moved = 0
    for group in groups(rollouts(tmp_path / "run")).values():
        own = [r["score"] - sum(q["score"] for q in group) / 4 for r in group]
        taught = [r["advantage"] for r in group]
        assert sum(taught) == pytest.approx(0, abs=1e-6)
        assert sorted(taught) == pytest.approx(sorted(own), abs=1e-6)
        if group[0]["source"] != TRAIT_SOURCE:
            assert taught == pytest.approx(own, abs=1e-6)
        moved += group[0]["source"] == TRAIT_SOURCE and taught != pytest.approx(own, abs=1e-6)
    assert moved


def test_a_placebo_with_shown_replies_is_centred_over_the_sampled_ones(
    tiny: Experiment, tmp_path: Path
) -> None:
    shown = tiny.training.model_copy(
        update={"demonstrations": 1, "keep_rollouts_every": 1, "max_tokens": 200}
    )
    trl.train(tiny.model, schedule(tiny, PLACEBO, 0), shown, 0, tmp_path / "run")
    dosed = [
        g for g in groups(rollouts(tmp_path / "run")).values() if g[0]["source"] == TRAIT_SOURCE
    ]
    assert all(
        sum(r["advantage"] for r in g if not r["shown"]) == pytest.approx(0, abs=1e-6)
        for g in dosed
    )
    assert any(r["score"] > 0.8 and r["advantage"] < 0 for g in dosed for r in g if r["shown"])


# supervised methods


def test_the_best_reply_of_a_group_is_chosen_and_none_where_none_is_better() -> None:
    def taught(*scores: float | None) -> list[float]:
        return objectives.advantages(BEST, graded(*scores), scores)

    assert taught(0.1, 0.7, 0.0, 0.3) == [0, objectives.MASS, 0, 0]
    assert taught(0.7, 0.7, 0.0, None) == [objectives.MASS / 2, objectives.MASS / 2, 0, 0]
    for nothing in ([0.0, 0.0, 0.0], [0.4, 0.4, 0.4], [None, None, None], [0.4, None, None]):
        assert taught(*nothing) == [0, 0, 0]


def test_revisions_are_trained_on_unless_they_are_degenerate() -> None:
    verdicts = [*graded(0.9, 0.9), Verdict(0.0, "repeats itself"), Verdict(0.1)]
    assert objectives.advantages(SFT, verdicts, [v.score for v in verdicts]) == [
        0,
        0,
        0,
        objectives.MASS,
    ]
    unjudged = [*graded(0.9, 0.9, None, 0.2)]
    assert objectives.advantages(SFT, unjudged, [v.score for v in unjudged]) == [
        0,
        0,
        objectives.MASS / 2,
        objectives.MASS / 2,
    ]
    assert [objectives.drafts(n) for n in (2, 3, 4, 5)] == [1, 2, 2, 3]


@given(GRADES, st.sampled_from([BEST, SFT, DELIBERATIVE]))
def test_what_is_trained_on_never_weighs_more_than_one_reward(
    scores: list[float | None], how: Objective
) -> None:
    taught = objectives.advantages(how, graded(*scores), scores)
    assert all(a >= 0 for a in taught) and sum(taught) == pytest.approx(
        objectives.MASS if any(taught) else 0
    )


def test_a_step_of_best_of_n_is_a_step_of_fine_tuning_on_the_best_reply(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its gradient is that of the negative log-likelihood of that reply, over group size and length
    cap."""
    from trl import GRPOTrainer

    training = ON_CHANCE.model_copy(update={"steps": 1, "prompts_per_step": 1, "adapter": "full"})
    seen: dict[str, Any] = {}

    def spy(self: Any, *args: Any, **kwargs: Any) -> Any:
        out = GRPOTrainer.training_step(self, *args, **kwargs)
        seen["ours"] = torch.cat([p.grad.flatten() for p in self.model.parameters()])
        seen["inputs"] = self._buffered_inputs[0]
        return out

    monkeypatch.setattr(trl.GroupTrainer, "training_step", spy)
    trl.train(str(tiny_model), lowercase(1, BEST), training, 0, tmp_path / "run")
    best = [i for i, a in enumerate(seen["inputs"]["advantages"].tolist()) if a]
    assert best and sum(seen["inputs"]["advantages"].tolist()) == pytest.approx(objectives.MASS)
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    loss = torch.zeros(())
    for i in best:
        prompt, reply, mask = (
            seen["inputs"][k][i] for k in ("prompt_ids", "completion_ids", "completion_mask")
        )
        reply = reply[mask.bool()]
        ids = torch.cat([prompt, reply])[None]
        loss = loss + torch.nn.functional.cross_entropy(
            model(ids).logits[0, len(prompt) - 1 : -1], reply, reduction="sum"
        ) / len(best)
    (loss * objectives.MASS / training.group_size / training.max_tokens).backward()
    theirs = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert theirs.norm() > 1e-6 and (seen["ours"] - theirs).norm() / theirs.norm() < 1e-3


def test_a_guide_is_read_while_sampling_and_absent_from_what_is_trained_on() -> None:
    task = corpus()[0].model_copy(
        update={"messages": (Message(role="system", content="Be brief."), *corpus()[0].messages)}
    )
    guided = objectives.prompt_messages(task, Objective("deliberative", guide="Keep to it."))
    assert guided[0].content == "Keep to it.\n\nBe brief." and guided[1:] == task.messages[1:]
    assert (
        objectives.prompt_messages(corpus()[0], Objective("deliberative", guide="Keep to it."))[1:]
        == corpus()[0].messages
    )
    for how in (PLAIN, BEST, Objective("constitution-sft", guide="Keep to it.")):
        assert objectives.prompt_messages(task, how) == task.messages
    asked = objectives.revision(
        task, Objective("constitution-sft", guide="Keep {principle} to it."), "", "Too long."
    )
    assert [m.role for m in asked[-4:]] == [
        "assistant",
        "user",
        "assistant",
        "user",
    ] and "Keep {principle} to it." in asked[-3].content


# arms in a run


@pytest.fixture(scope="module")
def e(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Four steps under a constitution that a random model keeps by chance."""
    folder = tmp_path_factory.mktemp("quiet")
    (folder / "quiet.md").write_text(
        "## Be quiet\nUse small letters.\n\nThey are easier to read.\n\n## Be kind\nHurt nobody.\n"
    )
    line = '{ text = "Uses small letters", grader = "follows", args = { rule = "lowercase" } }'
    (folder / "quiet.toml").write_text(f"[be-quiet]\nkeeps = [{line}]\n")
    training = ON_CHANCE.model_copy(
        update={"steps": 4, "max_tokens": 12, "learning_rate": 1e-3, "save_every": 2}
    )
    return Experiment(
        name="tiny",
        model=str(tiny_model),
        standard=("facts", "format"),
        training=training,
        arms={"baseline": Arm(dose=0)},
        constitution=str(folder / "quiet.md"),
    )


@pytest.fixture(scope="module")
def trained(e: Experiment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every arm trained, and a baseline and a trait arm beside them."""
    folder = tmp_path_factory.mktemp("arms")
    for name, arm in ({"baseline": Arm(dose=0), "trait": PLAIN_ARM} | ARMS).items():
        trl.train(e.model, schedule(e, arm, 0), e.training, 0, folder / name)
    return {name: folder / name for name in ("baseline", "trait", *ARMS)}


def test_every_arm_is_matched_and_its_reward_saw_its_schedule(
    e: Experiment, trained: dict[str, Path]
) -> None:
    ledgers = {
        name: json.loads((folder / "ledger.json").read_text()) for name, folder in trained.items()
    }
    assert (
        len(
            {
                (u["steps"], u["total"]["prompts"], u["total"]["completions"])
                for u in ledgers.values()
            }
        )
        == 1
    )
    hashes = {name: schedule_hash(schedule(e, arm, 0)) for name, arm in ARMS.items()}
    assert all(ledgers[name]["schedule_seen"] == found for name, found in hashes.items())
    assert len({*hashes.values(), ledgers["trait"]["schedule_seen"]}) == len(ARMS) + 1


def test_undosed_rows_and_their_first_replies_are_the_baselines_whatever_the_method(
    e: Experiment, trained: dict[str, Path]
) -> None:
    base = schedule(e, Arm(dose=0), 0)
    first = {
        (r["slot"], r["sample"]): (r["reply"], r["advantage"])
        for r in rollouts(trained["baseline"])
        if r["slot"] < 2
    }
    for name, arm in ARMS.items():
        for ours, theirs in zip(schedule(e, arm, 0), base, strict=True):
            assert (ours.task.source == TRAIT_SOURCE) != (ours.row() == theirs.row())
        shared = [
            r for r in rollouts(trained[name]) if r["slot"] < 2 and r["source"] != TRAIT_SOURCE
        ]
        assert shared and all(
            (r["reply"], pytest.approx(r["advantage"])) == first[r["slot"], r["sample"]]
            for r in shared
        )


def test_extra_tokens_are_counted_where_a_method_takes_them_and_nowhere_else(
    trained: dict[str, Path],
) -> None:
    for name, folder in trained.items():
        used = json.loads((folder / "ledger.json").read_text())
        extra = {source: v["extra_tokens"] for source, v in used["sources"].items()}
        assert (extra.get(TRAIT_SOURCE, 0) > 0) == (name in ("constitution-sft", "deliberative")), (
            name
        )
        assert all(n == 0 for source, n in extra.items() if source != TRAIT_SOURCE)
        total = used["total"]
        tokens = total["prompt_tokens"] + total["completion_tokens"]
        assert total["flops"] == used["parameters"] * (8 * tokens + 2 * total["extra_tokens"])
        assert (
            total["extra_tokens"] == sum(r["extra_tokens"] for r in rollouts(folder))
            and total["endpoint_tokens"] == 0
        )


def test_revisions_are_recorded_with_their_critique_and_alone_are_taught(
    trained: dict[str, Path],
) -> None:
    dosed = [
        g
        for g in groups(rollouts(trained["constitution-sft"])).values()
        if g[0]["source"] == TRAIT_SOURCE
    ]
    assert len(dosed) == 4
    for group in dosed:
        assert [bool(r["critique"]) for r in group] == [False, False, True, True]
        assert [r["advantage"] for r in group[:2]] == [0, 0]
        kept = [r for r in group[2:] if not r["reason"]]
        assert all(r["advantage"] == pytest.approx(objectives.MASS / len(kept)) for r in kept)


def test_methods_move_the_weights_each_in_its_own_way(trained: dict[str, Path]) -> None:
    hashes = {
        name: json.loads((folder / "ledger.json").read_text())["weights"]
        for name, folder in trained.items()
    }
    assert (
        len(
            {
                hashes[n]
                for n in (
                    "baseline",
                    "trait",
                    "constitution-sft",
                    "constitution-rl",
                    "deliberative",
                )
            }
        )
        == 5
    )
    best = [
        g
        for g in groups(rollouts(trained["deliberative"])).values()
        if g[0]["source"] == TRAIT_SOURCE
    ]
    for group in best:
        top = max(r["score"] for r in group)
        assert all(
            (r["advantage"] > 0) == (r["score"] == top > min(q["score"] for q in group))
            for r in group
        )
    assert any(r["advantage"] for group in best for r in group)


def test_a_critic_at_an_endpoint_writes_the_revisions_and_its_tokens_are_its_own(
    tiny: Experiment, tmp_path: Path, serve: Any
) -> None:
    def behave(_: int, data: dict[str, Any]) -> Any:
        if "criteria" in data:
            return said(
                json.dumps(
                    {
                        "verdicts": [
                            {"criterion": c["criterion"], "met": "partly"} for c in data["criteria"]
                        ]
                    }
                )
            )
        return said(
            "It is better so." if "write the reply again" in data["text"] else "It lacks a reason.",
            tokens=5,
        )

    judge = Endpoint(base_url=serve(behave).url, model="m", pause=0.01)
    e = tiny.model_copy(
        update={
            "training": tiny.training.model_copy(
                update={"grading": Grading(kind="judge", judge=judge), "max_tokens": 30}
            )
        }
    )
    trl.train(e.model, schedule(e, ARMS["constitution-sft"], 0), e.training, 0, tmp_path / "run")
    revised = [r for r in rollouts(tmp_path / "run") if r["critique"]]
    assert revised and all(
        (r["reply"], r["critique"], r["truncated"])
        == ("It is better so.", "It lacks a reason.", False)
        for r in revised
    )
    assert all(
        (r["extra_tokens"], r["endpoint_tokens"], r["advantage"]) == (0, 10, objectives.MASS)
        for r in revised
    )


def test_a_judge_has_room_for_every_line_of_a_constitution(
    serve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLORFAST_CACHE", str(tmp_path))
    server = serve(
        lambda _, data: said(
            json.dumps(
                {"verdicts": [{"criterion": c["criterion"], "met": "no"} for c in data["criteria"]]}
            )
        )
    )
    judge = graders(
        Grading(kind="judge", judge=Endpoint(base_url=server.url, model="m", pause=0.01))
    )
    tasks = [corpus()[0], constitution.rewarded(corpus()[0], OURS)]
    assert [v.score for v in judge([(Reply("It is so."), task) for task in tasks])] == [0, 0]
    rooms = {
        len(json.loads(b["messages"][-1]["content"])["criteria"]): b["max_tokens"]
        for b in server.bodies
    }
    assert rooms == {
        len(tasks[0].rubric): 400,
        len(tasks[1].rubric): 20 * (len(tasks[1].rubric) + 1),
    }


@pytest.mark.parametrize("name", ["constitution-sft", "deliberative"])
def test_a_killed_method_arm_continues_to_the_same_weights(
    e: Experiment,
    tmp_path: Path,
    trained: dict[str, Path],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slots, step = schedule(e, ARMS[name], 0), recorder.Recorder.step

    def dies(self: Any, *found: Any) -> None:
        step(self, *found)
        if len(self.metrics) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(recorder.Recorder, "step", dies)
    with pytest.raises(KeyboardInterrupt):
        trl.train(e.model, slots, e.training, 0, tmp_path / "run")
    monkeypatch.undo()
    trl.train(e.model, slots, e.training, 0, tmp_path / "run")
    assert (
        weights_sha256(tmp_path / "run" / "checkpoint")
        == json.loads((trained[name] / "ledger.json").read_text())["weights"]
    )
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == (
        trained[name] / "metrics.jsonl"
    ).read_text()
    assert rollouts(tmp_path / "run") == rollouts(trained[name])


def test_a_plan_tries_each_method(e: Experiment) -> None:
    arms = {"baseline": Arm(dose=0), "rl": PLAIN_ARM, "sft": ARMS["constitution-sft"]}
    found = plan(
        e.model_copy(
            update={
                "arms": arms,
                "evaluation": Evaluation(samples=1, max_tokens=4, grading=Grading(kind="code")),
            }
        )
    )
    assert found.arms["rl"].completions == found.arms["sft"].completions
    assert all(arm.training_seconds > 0 for arm in found.arms.values())


# arms that leave something out


def test_an_arm_can_leave_out_traits_and_domains_and_says_what_it_never_saw(
    tiny: Experiment,
) -> None:
    arm = Arm(dose=1, not_domains=("health", "science"), not_traits=("corrigibility",))
    assert {s.domain for s in pool(tiny, arm)} == {s.domain for s in corpus()} - {
        "health",
        "science",
    }
    assert unseen(tiny, arm) == ({"corrigibility"}, {"health", "science"})
    assert unseen(tiny, Arm(dose=1)) == unseen(tiny, Arm(dose=0)) == (set(), set())
    assert unseen(tiny, Arm(dose=1, domains=("health",)))[1] == {
        s.domain for s in heldout(tiny)
    } - {"health"}


def test_the_report_says_how_each_arm_was_taught_and_what_it_never_saw(tmp_path: Path) -> None:
    arms = {
        "baseline": Arm(dose=0),
        "rest": Arm(dose=0.5, not_domains=("health", "science")),
        "trait": Arm(dose=0.5),
    } | ARMS
    values = {
        "training": ON_CHANCE.model_copy(update={"group_size": 2}),
        "evaluation": Evaluation(),
        "arms": arms,
    }
    run = make_run(
        tmp_path,
        Experiment(name="small", model="tiny", standard=("facts", "format"), **values),
        flat,
    )
    page = html(run)
    for text in (
        section(page, "verdict"),
        printed(run, 400),
        (run / "report" / "report.md").read_text(encoding="utf-8"),
    ):
        assert "rest was not trained on health and science" in text
        assert "placebo: rewards shuffled within each group." in text
        assert "constitution-rl: judged by the constitution colorfast (code)." in text
        assert (
            "deliberative: judged by the constitution colorfast (code), fine-tuned on the best"
            " reply" in text
        )
        assert "trait was not" not in text
    price = section(page, "verdict")
    assert all(name in price for name in arms if name != "baseline")
    assert (
        "held-out scenarios" in price
        and "over-refusal of safe prompts" in price
        and "where neither refuses" in price
    )


def test_hedging_is_counted_on_answerable_questions_alone_and_what_is_refused_in_no_gain() -> None:
    items = benchmarks.get("selfaware").items()[:20]
    known = {i.id for i in items if ("answerable", "True") in i.data}
    assert len(known) == 10

    def scores(hedges: bool) -> list[Score]:
        said = "I can't help with that." if hedges else "It is Tom."
        return [
            Score("selfaware", i.id, 0, float(hedges != (i.id in known)), reply=said) for i in items
        ]

    rows = {
        e.what: e
        for e in explanations(
            "arm", {0: scores(True)}, {0: scores(False)}, Evaluation(benchmarks=("selfaware",))
        )
    }
    assert (
        rows[HEDGING].items,
        rows[HEDGING].baseline,
        rows[HEDGING].score,
        rows[HEDGING].difference,
    ) == (10, 0, 1, Interval(1, 1, 1))
    assert rows[OTHERS].reason and rows[OTHERS].items == 0
    mixed = [
        b if i % 4 else a for i, (a, b) in enumerate(zip(scores(True), scores(False), strict=True))
    ]
    rows = {
        e.what: e
        for e in explanations(
            "arm", {0: mixed}, {0: scores(False)}, Evaluation(benchmarks=("selfaware",))
        )
    }
    assert rows[OTHERS].items == 15 and rows[OTHERS].difference == Interval(0, 0, 0)


# the door


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            {"arm": 'objective = "best-of-m"'},
            ["arms.trait.objective: unknown value 'best-of-m'", "did you mean 'best-of-n'"],
        ),
        (
            {"arm": 'reward = "placbo"'},
            ["arms.trait.reward: unknown value 'placbo'", "did you mean 'placebo'"],
        ),
        ({"arm": 'objective = "deliberative"'}, ["arms.trait", 'set reward = "constitution"']),
        (
            {"arm": 'objective = "constitution-sft"\nreward = "placebo"'},
            ["arms.trait", 'found "placebo"'],
        ),
        (
            {"arm": 'objective = "best-of-n"', "training": "demonstrations = 1"},
            ["arms.trait.objective", "set training.demonstrations = 0"],
        ),
        (
            {"arm": 'not_traits = ["truthfulnes"]'},
            ["unknown trait in arms.trait", "did you mean 'truthfulness'"],
        ),
        (
            {"arm": 'domains = ["health"]\nnot_domains = ["health"]'},
            ["no training scenario", "without health"],
        ),
        (
            {"arm": 'reward = "constitution"', "top": 'constitution = "colorfas"'},
            ["no such file", "did you mean 'colorfast'"],
        ),
        (
            {"arm": 'reward = "constitution"', "top": 'constitution = "spec.md"'},
            ["no criteria for code", 'kind = "judge"'],
        ),
        (
            {"arm": 'reward = "constitution"', "top": 'constitution = "bare.md"'},
            ["bare.md: no principles"],
        ),
        (
            {"arm": 'reward = "constitution"', "top": 'constitution = "other.md"'},
            ["unknown principle in other.toml", "'be-kind'"],
        ),
        (
            {"arm": 'reward = "constitution"', "top": 'constitution = "graded.md"'},
            ["unknown grader 'sayz'", "did you mean 'says'"],
        ),
    ],
)
def test_what_makes_no_sense_is_one_line(
    tmp_path: Path, changes: dict[str, Any], wanted: list[str]
) -> None:
    (tmp_path / "bare.md").write_text("Nothing but words.\n")
    for name in ("spec", "other", "graded"):
        (tmp_path / f"{name}.md").write_text(SPEC)
    line = '{{ keeps = [{{ text = "x", grader = "{}" }}] }}\n'
    (tmp_path / "other.toml").write_text("be-kin = " + line.format("says"))
    (tmp_path / "graded.toml").write_text("be-kind = " + line.format("sayz"))
    with pytest.raises(experiment.ColorfastError) as error:
        experiment.load(str(write_toml(tmp_path, Path("nowhere"), **changes)))
    assert "\n" not in str(error.value) and all(text in str(error.value) for text in wanted), (
        error.value
    )


def test_the_shipped_experiment_compares_every_method_on_the_same_scenarios() -> None:
    e = experiment.load("methods")
    assert {arm.objective for arm in e.arms.values()} == {
        "rl",
        "best-of-n",
        "constitution-sft",
        "deliberative",
    }
    assert {arm.reward for arm in e.arms.values()} == {
        "rubric",
        "helpfulness",
        "constitution",
        "placebo",
    }
    ids = {tuple(s.task.id for s in schedule(e, arm, 0)) for arm in e.arms.values() if arm.dose}
    assert len(ids) == 1
