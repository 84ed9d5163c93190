"""Scores of single models: a user's own questions, stamps that keep unlike tables apart, two tables
compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from colorfast.analysis.compare import aa_test, differences, overall
from colorfast.analysis.explanations import explanations
from colorfast.config import Evaluation, Grading
from colorfast.corpus.scenarios import corpus
from colorfast.evals import evaluate
from colorfast.evals.benchmarks.harm import REDIRECTION_TOKENS
from colorfast.evals.custom import read_choices
from colorfast.evals.evaluate import EvalPlan
from colorfast.io.tables import read_scores, read_stamps
from colorfast.models.local import load_policy
from colorfast.stats.intervals import rng
from colorfast.types import ColorfastError, Reply, Score
from helpers.command import colorfast, refused
from helpers.tiny import LITTLE

CODE = Grading(kind="code")
NO_SCENARIOS = ("--no-heldout", "--suite", LITTLE)


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


BEHAVIOUR = {
    "question": "Is it so?",
    "answer_matching_behavior": " Yes",
    "answer_not_matching_behavior": " No",
}
KEYED = {"question": "2 + 2?", "choices": ["3", "4", "5"], "answer": "4"}


def test_own_questions_of_both_forms_are_read_and_the_direction_turns_them(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", BEHAVIOUR, KEYED, KEYED | {"answer": 2, "id": "third"})
    items = read_choices(path, matching=False).items()
    assert [i.id for i in items] == ["mine-0001", "mine-0002", "third"]
    assert [i.choices[i.aligned[0]] for i in items] == ["No", "4", "5"]
    assert read_choices(path, matching=True).items()[0].aligned == (0,)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (BEHAVIOUR | {"question": ""}, "question: missing"),
        (
            {"question": "x", "answer_matching_behavior": "a"},
            "answer_not_matching_behavior: missing",
        ),
        (KEYED | {"answer": "6"}, "'6' is not among the choices"),
        (KEYED | {"answer": 3}, "places run from 0 to 2"),
        (KEYED | {"choices": ["4"]}, "choices: wants a list of two or more texts"),
        ({"question": "x"}, "wants answer_matching_behavior and"),
    ],
)
def test_a_broken_row_is_named_by_file_line_and_field(
    tmp_path: Path, row: dict[str, Any], says: str
) -> None:
    with pytest.raises(ColorfastError, match=says) as error:
        read_choices(write(tmp_path / "mine.jsonl", KEYED, row), matching=True)
    assert "mine.jsonl:2" in str(error.value)


def test_own_questions_are_scored_with_and_without_the_chat_template(
    tmp_path: Path, tiny_model: Path
) -> None:
    path = write(tmp_path / "mine.jsonl", BEHAVIOUR, KEYED)
    told = {}
    for form in ("--chat", "--plain"):
        done = colorfast(
            "evaluate",
            str(tiny_model),
            "--choices",
            str(path),
            form,
            "--out",
            str(tmp_path / form),
            "--json",
        )
        assert json.loads(done.stdout)[0]["items"] == 2
        told[form] = [
            json.loads(line)
            for line in (tmp_path / form / "mine.scores.jsonl").read_text().splitlines()
        ]
        assert [len(row["loglikelihoods"]) for row in told[form]] == [2, 3]
    assert told["--chat"][1]["loglikelihoods"] != told["--plain"][1]["loglikelihoods"]
    policy = replace(load_policy(str(tiny_model)), chat=False)
    plain = policy.logprobs([read_choices(path, True).items()[1].messages], [("3", "4", "5")])[0]
    assert told["--plain"][1]["loglikelihoods"] == pytest.approx(plain, abs=1e-5)


def test_numbers_do_not_depend_on_the_batch_size(tmp_path: Path, tiny_model: Path) -> None:
    found = []
    for size in (1, 3, 64):
        evaluation = Evaluation(
            benchmarks=("power-seeking-inclination", "xstest-safe"),
            items=7,
            max_tokens=5,
            batch_size=size,
        )
        found.append(
            evaluate.evaluate(
                load_policy(str(tiny_model), size),
                EvalPlan(evaluation, ()),
                tmp_path / str(size),
                lambda *_, **__: None,
            )
        )
    for other in found[1:]:
        assert [(s.item, s.value, s.reply) for s in other] == [
            (s.item, s.value, s.reply) for s in found[0]
        ]
        for a, b in zip(other, found[0], strict=True):
            assert a.logs == pytest.approx(b.logs, abs=1e-4)


def test_replies_to_benchmarks_have_a_cap_of_their_own(tmp_path: Path, tiny_model: Path) -> None:
    """That of the held-out scenarios stays, and so does the room that a benchmark needs."""
    policy, names = load_policy(str(tiny_model)), ("xstest-safe", "do-not-answer-human-chatbox")
    plain = Evaluation(benchmarks=names, items=2, samples=1, max_tokens=50, grading=CODE)
    capped = plain.model_copy(update={"benchmark_max_tokens": 3})
    held = corpus()[:2]
    before, after = (
        evaluate.stamps(policy, EvalPlan(settings, held)) for settings in (plain, capped)
    )
    assert [name for name in before if before[name] != after[name]] == list(names)
    caps: list[int] = []

    def sample(conversations: Any, names: Any, max_tokens: int, temperature: float) -> list[Reply]:
        caps.append(max_tokens)
        return [Reply("No.") for _ in conversations]

    evaluate.evaluate(
        SimpleNamespace(sample=sample, by_letter=False),
        EvalPlan(capped, held),
        tmp_path,
        lambda *_, **__: None,
    )
    assert caps == [50, 3, REDIRECTION_TOKENS]


def test_a_continued_evaluation_keeps_what_is_there_and_refuses_other_settings(
    tmp_path: Path, tiny_model: Path
) -> None:
    ask = ("evaluate", str(tiny_model), *NO_SCENARIOS, "--out", str(tmp_path / "s"))
    assert colorfast(*ask, "--items", "4").returncode == 0
    table = tmp_path / "s" / "scores" / "little.parquet"
    before = table.stat().st_mtime_ns
    assert colorfast(*ask, "--items", "4").returncode == 0
    assert table.stat().st_mtime_ns == before
    assert read_stamps(table).keys() == {"little"} and len(read_scores(table)) == 4
    other = colorfast(*ask, "--items", "3")
    assert other.returncode == 2
    assert (
        "little.parquet: little was asked or scored in another way" in other.stderr.splitlines()[-1]
    )


def test_an_eval_with_fewer_items_than_asked_says_so(tmp_path: Path, tiny_model: Path) -> None:
    done = colorfast("evaluate", str(tiny_model), *NO_SCENARIOS, "--items", "9")
    assert done.returncode == 0
    assert "4 items, fewer than the 9 asked for" in " ".join(done.stderr.split())


def test_two_tables_compare_and_unlike_ones_do_not(tmp_path: Path, tiny_model: Path) -> None:
    suite = "bbq-disambiguated,mmlu-sociology,true-false-facts"
    for name, items in (("a", "6"), ("b", "6"), ("c", "5")):
        save = ("--out", str(tmp_path / name), "--items", items, "--max-tokens", "4")
        assert (
            colorfast(
                "evaluate", str(tiny_model), "--no-heldout", "--suite", suite, *save
            ).returncode
            == 0
        )
    told = json.loads(
        colorfast("compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json").stdout
    )
    assert {e["eval"] for e in told["estimates"]} == set(suite.split(","))
    assert all(e["difference"] == 0 and e["p"] == 1 for e in told["estimates"])
    assert told["overall"]["evals"] == 1  # the other two are controls
    refused(colorfast("compare", str(tmp_path / "a"), str(tmp_path / "c")), "do not compare")
    refused(
        colorfast("compare", str(tmp_path / "a"), str(tmp_path / "nowhere")),
        "nowhere",
        "no scores here",
    )


def test_an_unknown_suite_is_refused_with_the_nearest(tiny_model: Path) -> None:
    refused(
        colorfast("evaluate", str(tiny_model), "--suite", "standart"), "did you mean 'standard'?"
    )


EVALS = (
    "truthfulqa-mc1",
    "wrong-hint-mmlu",
    "bbq-religion",
    "xstest-unsafe",
    "xstest-safe",
    "mmlu-sociology",
)


def simulated(seed: int, gain: float, reply: str = "A plain reply.") -> list[Score]:
    """Scores of a model that answers right with probability .5 + gain."""
    draw = rng(f"scores-{seed}-{gain}")
    names = dict.fromkeys(EVALS, 80) | {"heldout": 80}
    return [
        Score(name, f"{name}-{k}", 0, float(draw.random() < 0.5 + gain), reply=reply)
        for name, n in names.items()
        for k in range(n)
    ]


def test_a_gain_is_found_counted_and_held_against_other_explanations() -> None:
    evaluation = Evaluation(benchmarks=EVALS)
    ours, theirs = (
        {seed: simulated(10 * k + seed, gain) for seed in range(3)}
        for k, gain in ((1, 0.3), (2, 0.0))
    )
    compared = differences("arm", ours, theirs, evaluation, {})
    estimates = [d.estimate for d in compared]
    together = overall(compared)
    assert together is not None
    assert (
        together.evals,
        together.wins,
        together.significant_wins,
        together.significant_losses,
    ) == (5, 5, 5, 0)
    assert together.difference.low > 0.2
    assert {e.eval for e in estimates if e.q is None and e.measure == "score"} == {
        "xstest-safe",
        "mmlu-sociology",
    }
    rows = {e.what: e for e in explanations("arm", ours, theirs, evaluation)}
    assert rows["refusals, all written replies"].difference.value == 0  # type: ignore[union-attr]
    assert rows["sycophancy: the right answer given up"].difference.high < 0
    assert rows["held-out score where neither refuses"].verdict == "0 items left out"
    assert (
        "inconclusive" in rows["capability"].verdict or "not inferior" in rows["capability"].verdict
    )


def test_refusing_everything_is_seen_as_what_it_is() -> None:
    evaluation = Evaluation(benchmarks=EVALS)
    refusing, plain = (
        {0: simulated(1, 0.0, "I'm sorry, but I can't help with that.")},
        {0: simulated(1, 0.0)},
    )
    rows = {e.what: e for e in explanations("arm", refusing, plain, evaluation)}
    assert rows["refusals, benign prompts"].difference.value == 1  # type: ignore[union-attr]
    assert (
        rows["held-out score where neither refuses"].reason
        == "each item was refused by one of them"
    )


def test_the_a_a_test_halves_the_baselines_seeds() -> None:
    evaluation = Evaluation(benchmarks=EVALS)
    told = aa_test({seed: simulated(seed, 0.0) for seed in range(4)}, evaluation)
    assert (
        told.seeds == 2
        and told.evals == 7
        and told.nonzero is not None
        and told.nonzero <= 2
        and told.significant == 0
    )
    alone = aa_test({0: simulated(0, 0.0)}, evaluation)
    assert alone.nonzero is None and "two seeds" in alone.reason
