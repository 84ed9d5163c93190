"""What a run shows in plain words, and what the model says: the same on the page, in Markdown and
in the terminal."""

from __future__ import annotations

import html as markup
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from colorfast.config import Arm, Evaluation
from colorfast.evals.evaluate import HELDOUT
from colorfast.io.tables import read_scores
from colorfast.report.comparison import gains
from colorfast.report.findings import Findings, Row
from colorfast.report.gather import gather
from colorfast.report.samples import ARMS, SCENARIOS, UNTRAINED_MODEL
from colorfast.report.sections import graded
from colorfast.report.summary import HOW_SEEN, certainty, summary
from colorfast.report.table import Cell
from colorfast.types import Interval
from helpers.run_folders import (
    HOSTILE,
    better,
    experiment,
    flat,
    html,
    make_run,
    mixed,
    printed,
    scores,
    section,
    write_scores,
)

ITEMS = 24
SALT = "draw 5"
"""A draw in which no arm differs by chance."""
FAMILIES = {"safe": "over-refusal", "able": "capability"}
BENCHMARK = """
from colorfast.types import Benchmark, Item, Message

def items():
    asked = (Message(role="user", content="Is it?"),)
    return tuple(Item(f"NAME-{n}", asked, ("Yes", "No"), (0,)) for n in range(ITEMS))

BENCHMARKS = (Benchmark("NAME", "FAMILY", "choice", "", (), items, control=True),)
"""
Value = Callable[[str, str], float]


@pytest.fixture
def priced(tmp_path: Path) -> Evaluation:
    """An eval of safe prompts and one of capability, of ITEMS choices each."""
    for name, family in FAMILIES.items():
        text = (
            BENCHMARK.replace("NAME", name).replace("FAMILY", family).replace("ITEMS", str(ITEMS))
        )
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    return Evaluation(
        benchmarks=tuple(str(tmp_path / f"{name}.py") for name in FAMILIES), items=ITEMS, samples=1
    )


def sentences(folder: Path, evaluation: Evaluation, value: Value, **changes: object) -> list[str]:
    return summary(gather(make_run(folder, experiment(evaluation=evaluation, **changes), value)))


def values(arm: str, item: str, shifts: dict[str, float]) -> float:
    """A draw for each arm and item in [.3, .5], and for trait-50 a shift by the kind of item."""
    kind = item.partition("-")[0]
    shift = shifts.get(kind if kind in FAMILIES else HELDOUT, 0) if arm == "trait-50" else 0
    return 0.3 + 0.2 * mixed(f"{SALT}-{arm}", item) + shift


NUMBER = r"0\.\d{3}"
NULL = rf"no clear change \(could have seen {NUMBER}\)"
SIGNED = r"[+−]0\.\d{3}"


@pytest.mark.parametrize(
    ("shifts", "wanted"),
    [
        (
            {HELDOUT: 0.3},
            rf"trait-50 \(50% dose\) helped: held-out trait scores rose by {NUMBER} \(95% interval"
            rf" {NUMBER} to {NUMBER}\), "
            rf"from {NUMBER} to {NUMBER}; safe prompts refused: {NULL}; capability: {NULL}\.",
        ),
        (
            {HELDOUT: 0.3, "safe": -0.2, "able": -0.25},
            (
                rf".* helped, at a price: .*; safe prompts refused: up by {NUMBER} \({NUMBER} to"
                rf" {NUMBER}\); capability: down by {NUMBER} .*"
            ),
        ),
        (
            {HELDOUT: -0.25},
            (
                rf".* hurt: held-out trait scores fell by {NUMBER} \(95% interval {NUMBER} to"
                rf" {NUMBER}\), from .*"
            ),
        ),
        ({HELDOUT: -0.25, "able": -0.25}, r".* hurt, and has a price: .*"),
        (
            {},
            rf".* had no clear effect: held-out trait scores did not clearly change \({SIGNED}, 95%"
            rf" interval {SIGNED} to {SIGNED}; "
            rf"could have seen {NUMBER}\); safe prompts refused: {NULL}; capability: {NULL}\.",
        ),
        ({"safe": -0.2}, r".* had no clear effect, and has a price: .*"),
        ({"safe": 0.2}, rf".* had no clear effect: .*; safe prompts refused: down by {NUMBER} .*"),
    ],
)
def test_a_sentence_says_helped_or_not_and_at_what_price(
    tmp_path: Path, priced: Evaluation, shifts: dict[str, float], wanted: str
) -> None:
    found = sentences(tmp_path, priced, lambda arm, item: values(arm, item, shifts))
    assert re.fullmatch(wanted, found[1]), found[1]
    assert found[0].startswith("trait-5 (25% dose) had no clear effect: ")
    assert len(found) == 3


def test_the_numbers_are_those_of_the_table(tmp_path: Path, priced: Evaluation) -> None:
    run = make_run(
        tmp_path,
        experiment(evaluation=priced),
        lambda arm, item: values(arm, item, {HELDOUT: 0.3, "able": -0.25}),
    )
    f = gather(run)
    own = f.rows[0].cells["trait-50"]
    (able,) = (
        row.cells["trait-50"] for row in f.rows if row.eval == "able" and row.measure == "score"
    )
    assert own and able
    sentence = summary(f)[1]
    assert (
        f"rose by {own.difference.value:.3f} (95% interval {own.difference.low:.3f} to"
        f" {own.difference.high:.3f}), from {own.baseline:.3f}" in sentence
    )
    assert (
        f"capability: down by {-able.difference.value:.3f}"
        f" ({-able.difference.high:.3f} to {-able.difference.low:.3f})" in sentence
    )


def test_what_was_not_measured_is_not_a_null(tmp_path: Path) -> None:
    _, sentence, certainty = sentences(tmp_path, Evaluation(samples=1), better)
    assert sentence.endswith(
        "; benign prompts refused: no clear change (not one item differed); capability: not"
        " measured."
    )
    assert HOW_SEEN not in certainty


def test_one_seed_asks_for_more_and_several_say_what_they_cover(tmp_path: Path) -> None:
    one = sentences(tmp_path / "one", Evaluation(samples=1), mixed)[-1]
    assert (
        one.startswith("One seed: ")
        and "run it again with other seeds before you believe it" in one
        and one.endswith(HOW_SEEN)
    )
    two = sentences(tmp_path / "two", Evaluation(samples=1), mixed, seeds=(0, 1))[-1]
    assert two.startswith(
        "The intervals cover items and 2 seeds; so few seeds show run-to-run variation only"
        " roughly."
    )


def test_a_broken_arm_is_said_to_be_whatever_it_gains(tmp_path: Path) -> None:
    e = experiment()
    run = make_run(tmp_path, e, better)
    write_scores(
        run / "trait-50-s0" / "scores.parquet",
        scores(e, "trait-50", better, "I'm sorry, but I can't help with that."),
    )
    sentence = summary(gather(run))[1]
    assert sentence.startswith(
        "trait-50 (50% dose) is broken, whatever it gains (refusals, benign prompts: 100.0%, the"
        " baseline 0.0%): "
    )
    assert "helped" not in sentence


def test_an_arm_that_nobody_could_grade_is_not_compared(tmp_path: Path) -> None:
    e = experiment()
    run = make_run(tmp_path, e, flat)
    path = run / "trait-50-s0" / "scores.parquet"
    write_scores(
        path,
        [
            replace(s, value=None, reason="lost") if s.eval == HELDOUT else s
            for s in read_scores(path)
        ],
    )
    assert (
        summary(gather(run))[1]
        == "trait-50 (50% dose) could not be compared: no held-out reply was graded in both arms."
    )


def test_without_a_dosed_arm_there_is_nothing_to_compare(tmp_path: Path) -> None:
    (sentence,) = sentences(tmp_path, Evaluation(samples=1), flat, arms={"baseline": Arm(dose=0)})
    assert sentence == "This experiment has a baseline alone, so there is nothing to compare."


def test_many_arms_are_grouped(tmp_path: Path, priced: Evaluation) -> None:
    arms = {"baseline": Arm(dose=0)} | {
        f"trait-{n}": Arm(dose=n / 100) for n in (10, 20, 30, 40, 50)
    }
    found = sentences(
        tmp_path,
        priced,
        lambda arm, item: values(arm, item, {HELDOUT: 0.3, "able": -0.25}),
        arms=arms,
    )
    assert found[:2] == [
        (
            "By held-out trait scores, of 5 arms 4 had no clear effect (trait-10, trait-20,"
            " trait-30, trait-40) and 1 helped (trait-50)."
        ),
        "Clear prices: capability down in trait-50.",
    ]


def with_another_grader(f: Findings, shift: float) -> Findings:
    """The same findings with the held-out replies graded once more, each arm's difference moved by
    a shift."""
    first = f.rows[0]
    name = f"{HELDOUT}-by-code"
    cells = {}
    for arm, e in first.cells.items():
        assert e
        d = e.difference
        moved = Interval(d.value + shift, d.low + shift, d.high + shift)
        cells[arm] = replace(e, eval=name, difference=moved, q=None)
    other = Row(name, "all traits, by a grader that did not reward", first.family, cells)
    return replace(f, rows=(first, other, *f.rows[1:]))


@pytest.mark.parametrize(
    ("shift", "verdict", "other"),
    [
        (0.0, "helped", rf"they rose by {NUMBER} \({NUMBER} to {NUMBER}\)"),
        (-0.3, "helped only by the grader that rewarded it", NULL),
        (
            -0.6,
            "helped only by the grader that rewarded it",
            rf"they fell by {NUMBER} \({NUMBER} to {NUMBER}\)",
        ),
    ],
)
def test_a_gain_that_only_the_rewarding_grader_sees_is_called_so(
    tmp_path: Path, priced: Evaluation, shift: float, verdict: str, other: str
) -> None:
    f = gather(
        make_run(
            tmp_path,
            experiment(evaluation=priced),
            lambda arm, item: values(arm, item, {HELDOUT: 0.3}),
        )
    )
    both = with_another_grader(f, shift)
    assert re.fullmatch(
        rf"trait-50 \(50% dose\) {verdict}: .*; by a grader that did not reward, {other}; safe .*",
        summary(both)[1],
    )
    assert not both.rows[1].counted and not both.rows[1].part
    assert [row["difference from the baseline"] for row in gains(both).rows][:2] == [
        "held-out scenarios",
        "held-out, by a grader that did not reward",
    ]


def test_the_page_the_markdown_and_the_terminal_say_the_same(
    tmp_path: Path, priced: Evaluation
) -> None:
    run = make_run(
        tmp_path,
        experiment(evaluation=priced),
        lambda arm, item: values(arm, item, {HELDOUT: 0.3, "safe": -0.2}),
    )
    wanted = summary(gather(run))
    verdict = markup.unescape(section(html(run), "verdict"))
    text = (run / "report" / "report.md").read_text(encoding="utf-8")
    places = [text.index(sentence) for sentence in wanted]
    assert places == sorted(places) and places[-1] < text.index("## ")
    end = printed(run, 1000).rstrip().splitlines()[-len(wanted) :]
    assert end == wanted and all(sentence in verdict for sentence in wanted)
    assert verdict.count(certainty(gather(run))) == 1


def test_beside_every_null_of_the_first_table_stands_what_could_have_been_seen(
    tmp_path: Path, priced: Evaluation
) -> None:
    f = gather(
        make_run(
            tmp_path,
            experiment(evaluation=priced),
            lambda arm, item: values(arm, item, {HELDOUT: 0.3}),
        )
    )
    cells = [str(c) for row in gains(f).rows for c in row.values() if isinstance(c, Cell)]
    clear = [cell for cell in cells if cell[0] in "▲▼"]
    nulls = [cell for cell in cells if cell not in clear]
    assert clear and nulls
    assert all(
        re.search(r"; (could have seen \d+\.\d+|not one item differed)\)$", cell) for cell in nulls
    )
    assert not any("could have seen" in cell for cell in clear)


def test_the_first_replies_shown_are_drawn_by_name_and_not_by_score(tmp_path: Path) -> None:
    one, other = (
        gather(make_run(tmp_path / name, experiment(), value))
        for name, value in (("one", mixed), ("two", better))
    )
    assert [x.item for x in one.samples] == [x.item for x in other.samples]
    assert len(one.samples) == SCENARIOS == len({x.trait for x in one.samples})
    renamed = gather(make_run(tmp_path / "three", experiment(name="renamed"), mixed))
    assert [x.item for x in renamed.samples] != [x.item for x in one.samples]
    for exchange in one.samples:
        assert [a.who for a in exchange.answers] == [
            UNTRAINED_MODEL,
            "baseline",
            "trait-5",
            "trait-50",
        ]
        assert exchange.messages
        for answer in exchange.answers[1:]:
            assert answer.scores == ((HELDOUT, mixed(answer.who, exchange.item)),)


def test_of_many_arms_those_of_the_highest_dose_speak(tmp_path: Path) -> None:
    arms = {"baseline": Arm(dose=0)} | {
        f"trait-{n}": Arm(dose=n / 100) for n in (10, 20, 30, 40, 50)
    }
    run = make_run(tmp_path, experiment(arms=arms), mixed)
    (names,) = {tuple(a.who for a in exchange.answers) for exchange in gather(run).samples}
    assert (
        names == (UNTRAINED_MODEL, "baseline", "trait-20", "trait-30", "trait-40", "trait-50")
        and len(names) == ARMS + 1
    )
    assert "1 arm of lower dose is not among them" in section(html(run), "verdict")


def test_a_reply_is_shown_with_the_score_of_every_grader(tmp_path: Path) -> None:
    e = experiment()
    run = make_run(tmp_path, e, mixed)
    for cell in ("baseline-s0", "trait-5-s0", "trait-50-s0"):
        path = run / cell / "scores.parquet"
        own = read_scores(path)
        write_scores(
            path,
            [
                *own,
                *(
                    replace(s, eval=f"{HELDOUT}-by-code", value=0.25)
                    for s in own
                    if s.eval == HELDOUT
                ),
            ],
        )
    for exchange in gather(run).samples:
        for answer in exchange.answers[1:]:
            assert answer.scores == (
                (HELDOUT, mixed(answer.who, exchange.item)),
                (f"{HELDOUT}-by-code", 0.25),
            )
    assert (
        graded(((HELDOUT, None), (f"{HELDOUT}-by-code", 0.25)))
        == "score not graded, score by a grader that did not reward 0.25"
    )


def test_what_the_model_says_stands_near_the_top_escaped(tmp_path: Path) -> None:
    run = make_run(tmp_path, experiment(), mixed, reply=HOSTILE)
    page = html(run)
    says = page.split('<div id="says">')[1].split("<h3>The paper")[0]
    assert page.index('<div id="says">') < page.index("<h3>The paper")
    assert says.count("&lt;script&gt;alert(1)&lt;/script&gt;") == SCENARIOS * 4
    assert "<script" not in says and "<img" not in says and "\x1b" not in says
    assert "not by any result" in says and 'href="#replies"' in says
    assert "code counts as saying nothing: baseline 0%, trait-5 0%, trait-50 0%" in says
    text = (run / "report" / "report.md").read_text(encoding="utf-8")
    part = text.split("## What the model says")[1].split("\n## ")[0]
    assert part.count("&lt;script>alert(1)") == SCENARIOS * 4 and "<script" not in part
