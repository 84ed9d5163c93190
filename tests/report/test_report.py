"""The report: written from a run folder alone, complete, safe against hostile replies, and the same
every time."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from markupsafe import escape

from colorfast.config import Arm, Evaluation
from colorfast.evals.evaluate import HELDOUT
from colorfast.io.storage import digest, write_json
from colorfast.io.tables import read_scores
from colorfast.report import write
from colorfast.report.pairs import MOST
from colorfast.report.wording import met
from colorfast.rewards.rubric import grade
from colorfast.training.schedule import heldout, schedule, schedule_hash
from colorfast.types import ColorfastError, Reply, Score
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
from helpers.tiny import LITTLE

SECTIONS = (
    *(
        "verdict",
        "evals",
        "response",
        "learning",
        "dose",
        "explanations",
        "price",
        "power",
        "results",
        "replies",
        "ran",
        "reading",
    ),
)


def test_a_report_has_every_section_and_file(tmp_path: Path) -> None:
    run = make_run(tmp_path, experiment(), mixed)
    page = html(run)
    assert re.findall(r'<section id="(\w+)">', page) == list(SECTIONS)
    assert all(section(page, name).strip() for name in SECTIONS)
    assert sorted(p.name for p in (run / "report").iterdir()) == [
        *(
            "claims.csv",
            "curves.svg",
            "dose.svg",
            "estimates.csv",
            "explanations.csv",
            "forest.svg",
            "learning.csv",
        ),
        *(
            "overview.svg",
            "power.svg",
            "replies.csv",
            "report.html",
            "report.md",
            "response.csv",
            "response.svg",
        ),
    ]
    assert page.count("<svg ") == 6
    assert re.findall(r'<li><a href="#(\w+)">', page) == [SECTIONS[0], "says", *SECTIONS[1:]]


def test_every_eval_has_a_row_everywhere(tmp_path: Path) -> None:
    e = experiment()
    run = make_run(tmp_path, e, mixed)
    page, traits = html(run), {s.trait for s in heldout(e)}
    told = {
        "page": section(page, "results"),
        "markdown": (run / "report/report.md").read_text(encoding="utf-8"),
        "terminal": printed(run),
    }
    for where, text in told.items():
        for name in [*traits, "little", "probability"]:
            assert name in text, (where, name)
    rows = (run / "report/estimates.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 2 * (1 + len(traits) + 2)


def test_an_eval_that_nobody_could_grade_keeps_its_row(tmp_path: Path) -> None:
    e = experiment()
    run = make_run(tmp_path, e, flat)
    held = [s for s in scores(e, "trait-50", flat, "") if s.eval == HELDOUT]
    write_scores(
        run / "trait-50-s0/scores.parquet",
        held + [Score("little", f"little-{n}", 0, None, reason="lost") for n in range(4)],
    )
    assert "no item was graded in both arms" in section(html(run), "results")
    assert "not graded" in printed(run)


def test_hostile_replies_appear_only_escaped_and_stripped(tmp_path: Path) -> None:
    run = make_run(tmp_path, experiment(), mixed, reply=HOSTILE + "x" * 5000)
    page = html(run)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;red &lt;img src=" in page
    assert page.count("<script") == 1 and "<script>alert" not in page and "<img" not in page
    assert not set(page) & {"\x1b", "\x07", "\u202e"}
    assert "[31m" not in page
    assert "more characters]" in page and "x" * 1501 not in page


def test_hostile_names_do_not_leave_their_cell(tmp_path: Path) -> None:
    run = make_run(tmp_path, experiment(about="</style><script>1</script><b>\x1b[1m"), mixed)
    page = html(run)
    assert page.count("<script") == 1 and "<script>1" not in page
    assert "<b>\x1b" not in page and "<b>[" not in page
    assert "\x1b" not in page


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = html(make_run(tmp_path, experiment(), mixed))
    assert not re.search(r"<(iframe|img|object|embed|base)\b|<script [^>]*src|@import", page)
    assert re.findall("<link .*>", page) == ['<link rel="icon" href="data:,">']
    targets = set(re.findall(r'\b(?:src|href)="([^"#]*)"', page))
    assert all(
        re.fullmatch(r"data:,|https://arxiv\.org/abs/\d{4}\.\d{4,5}", target) for target in targets
    )
    assert page.count("http") == page.count('<a href="https://arxiv.org') + page.count("http-equiv")
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))


def test_ids_are_unique_on_the_page_and_links_lead_to_them(tmp_path: Path) -> None:
    page = html(make_run(tmp_path, experiment(), mixed))
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]*)', page)) <= set(ids)


def test_a_rebuilt_report_has_the_same_bytes(tmp_path: Path) -> None:
    run = make_run(tmp_path, experiment(seeds=(0, 1)), mixed)
    write(run)
    first = {p.name: p.read_bytes() for p in (run / "report").iterdir()}
    shutil.rmtree(run / "report")
    write(run)
    assert {p.name: p.read_bytes() for p in (run / "report").iterdir()} == first


def test_the_verdict_says_higher_only_of_the_arm_that_is(tmp_path: Path) -> None:
    verdict = section(html(make_run(tmp_path, experiment(), better)), "verdict")
    assert (
        "trait-50 (50% dose) helped: held-out trait scores rose by 0.400" in verdict
        and "from 0.500 to 0.900" in verdict
    )
    assert "trait-5 (25% dose) had no clear effect" in verdict
    assert verdict.count("helped") == 1 and "hurt" not in verdict


def test_the_verdict_names_what_got_worse(tmp_path: Path) -> None:
    e = experiment()
    verdict = section(
        html(
            make_run(
                tmp_path, e, lambda arm, item: 0.2 if arm == "trait-5" and "little" in item else 0.5
            )
        ),
        "verdict",
    )
    assert "trait-5: by raw sign 0 of 2 evals better, 1 worse, 1 equal" in verdict
    assert "0 significantly better and 1 significantly worse" in verdict
    assert "Interval below zero: little." in verdict
    assert "Interval below zero: none." in verdict
    assert "With fewer than 6 items an interval means little: little." in verdict


def test_the_verdict_calls_an_arm_broken_that_refuses_everything(tmp_path: Path) -> None:
    e = experiment()
    run = make_run(tmp_path, e, better)
    write_scores(
        run / "trait-50-s0" / "scores.parquet",
        scores(e, "trait-50", better, "I'm sorry, but I can't help with that."),
    )
    verdict = section(html(run), "verdict")
    assert (
        "trait-50 (50% dose) is broken, whatever it gains (refusals, benign prompts: 100.0%, the"
        " baseline 0.0%): " in verdict
    )
    assert verdict.count("is broken") == 1


def test_a_control_is_shown_last_and_not_counted(tmp_path: Path) -> None:
    control = tmp_path / "control.py"
    text = (
        Path(LITTLE)
        .read_text(encoding="utf-8")
        .replace('"little", "arithmetic"', '"careful", "over-refusal"')
    )
    control.write_text(text.replace(", items),)", ", items, control=True),)"), encoding="utf-8")
    run = make_run(
        tmp_path,
        experiment(evaluation=Evaluation(benchmarks=(str(control), LITTLE), items=4)),
        better,
    )
    page = html(run)
    assert "trait-50: by raw sign 2 of 2 evals better" in section(page, "verdict")
    assert "careful" in section(page, "price") and "little" not in section(page, "price")
    assert section(page, "results").index("little") < section(page, "results").index("careful")
    lines = printed(run).split("▲ ▼ the 95%")[0].splitlines()
    rule = max(i for i, line in enumerate(lines) if set(line.strip()) == {"─"})
    assert "over-refusal (control)" in lines[rule + 1]


def test_gains_and_losses_of_every_trait_are_both_shown_with_their_scores(tmp_path: Path) -> None:
    e = experiment()
    ids = sorted({s.id for s in heldout(e)})
    up, down = set(ids[:2]), set(ids[2:6])

    def value(arm: str, item: str) -> float:
        return 0.5 if arm != "trait-50" or item not in up | down else float(item in up)

    run = make_run(tmp_path, e, value)
    pairs = re.findall(r'<details class="pair" (.*?)>\s*<summary>(.*?)</summary>', html(run), re.S)
    told = [
        (re.findall(r'data-\w+="(.*?)"', data), re.sub("<[^>]*>", "", text)) for data, text in pairs
    ]
    assert {data[0] for data, _ in told} == {"trait-50"}
    gains, losses = (
        ["".join(i for i in ids if i in text) for data, text in told if data[3] == kind]
        for kind in ("gain", "loss")
    )
    assert (
        set(gains) == up
        and set(losses) == down
        and [data[3] for data, _ in told] == ["gain"] * 2 + ["loss"] * 4
    )
    assert all("▲ 0.50 → 1.00" in text for data, text in told[:2]) and all(
        "▼ 0.50 → 0.00" in text for data, text in told[2:]
    )
    rows = list(
        csv.DictReader((run / "report/replies.csv").read_text(encoding="utf-8").splitlines())
    )
    assert [row["item"] for row in rows] == gains + losses


def test_a_pair_shows_what_code_says_of_each_criterion(tmp_path: Path) -> None:
    e = experiment()
    scenario = heldout(e)[0]
    good, bad = scenario.replies["good"], scenario.replies["bad"]
    run = make_run(
        tmp_path, e, lambda arm, item: float(arm == "trait-50" and item == scenario.id), bad
    )
    path = run / "trait-50-s0/scores.parquet"
    write_scores(
        path, [replace(s, reply=good) if s.item == scenario.id else s for s in read_scores(path)]
    )
    page = html(run)
    (pair,) = re.findall(r'<details class="pair" .*?</details>', page, re.S)
    rows = re.findall(
        r'<th scope="row">(.*?)</th><td class="n">.*?</td><td>(.*?)</td><td>(.*?)</td>', pair
    )
    theirs, ours = (grade(Reply(text), scenario).parts for text in (bad, good))
    assert [row[0] for row in rows] == [str(escape(c.text)) for c in scenario.rubric]
    assert [row[1:] for row in rows] == [
        (met(a), met(b)) for a, b in zip(theirs, ours, strict=True)
    ]
    assert len({mark for row in rows for mark in row[1:]}) > 1


def test_pairs_have_room_for_every_arm_and_every_trait(tmp_path: Path) -> None:
    arms = {"baseline": Arm(dose=0)} | {f"trait-{n}": Arm(dose=n / 100) for n in (10, 25, 50, 75)}
    e = experiment(arms=arms)
    data = re.findall(
        r'<details class="pair" data-arm="(.*?)" data-eval=".*?" data-trait="(.*?)"'
        r' data-change="(\w+)"',
        html(make_run(tmp_path, e, mixed)),
    )
    by_arm = Counter(arm for arm, *_ in data)
    assert set(by_arm.values()) == {MOST // 4} and set(by_arm) == set(arms) - {"baseline"}
    for arm in by_arm:
        assert {t for a, t, _ in data if a == arm} == {s.trait for s in heldout(e)}


def test_power_says_how_many_evals_would_have_shown_the_papers_gain(tmp_path: Path) -> None:
    run = make_run(tmp_path, experiment(), better)
    power = section_cells(html(run), "power")
    assert re.search(r"trait-5\s+2\s+-\s+0 of 2\s+2\s+-", power), power
    assert "A/A test: not measured" in power
    rows = (run / "report/learning.csv").read_text(encoding="utf-8").splitlines()
    assert "trait-50,reward,trait," in "".join(rows) and "trait-50,dose so far,,3,0.5" in rows


def test_hashes_dose_and_compute_are_told(tmp_path: Path) -> None:
    e = experiment()
    run = make_run(tmp_path, e, mixed)
    page = html(run)
    for arm in e.arms:
        assert schedule_hash(schedule(e, e.arms[arm], 0)) in page
        assert digest([arm, 0]) in page
    assert "8 prompts, 16 completions, equal in all arms" in section(page, "ran")
    assert re.search(
        r"trait-50\s+0\s+50%\s+50%\s+4 of 8\s+4\s+4 of 4",
        re.sub(r"(?<=\d)(?=\d+ of)", " ", section_cells(page, "dose")),
    )
    assert "compute: 4 steps, 8 prompts, 16 completions, equal in all arms" in printed(run)


def section_cells(page: str, name: str) -> str:
    return re.sub(
        r"(<[^>]*>)+", " ", page.split(f'<section id="{name}">')[1].split("</section>")[0]
    )


def test_arms_with_other_compute_are_called_so(tmp_path: Path) -> None:
    run = make_run(tmp_path, experiment(), mixed)
    path = run / "trait-5-s0/ledger.json"
    used = json.loads(path.read_text(encoding="utf-8"))
    used["total"]["completions"] += 1
    write_json(path, used)
    assert "NOT compute-matched: completions" in section(html(run), "verdict")


def test_the_terminal_table_fits_100_columns_two_dosed_arms_at_a_time(tmp_path: Path) -> None:
    """Beside every null stands what could have been seen."""
    arms = {"baseline": Arm(dose=0)} | {f"trait-{n}": Arm(dose=n / 100) for n in (25, 50, 75)}
    text = printed(make_run(tmp_path, experiment(arms=arms), mixed))
    table = text[: text.index("▲ ▼ the 95%")]
    assert max(map(len, table.splitlines())) <= 100
    rows = [line for line in table.splitlines() if "human-protective-helpfulness" in line]
    numbers = r"[+-]\.\d\d \([+-]\.\d\d, [+-]\.\d\d\)"
    null = rf"{numbers} (?:≥\d?\.\d\d|equal)"
    assert [len(re.findall(rf"[▲▼] {numbers}|{null}", row)) for row in rows] == [2, 1]
    clear, nulls = re.findall(rf"[▲▼] {numbers}", table), re.findall(null, table)
    assert nulls and len(clear) + len(nulls) == len(re.findall(numbers, table))


def test_a_baseline_alone_is_reported_as_nothing_to_compare(tmp_path: Path) -> None:
    run = make_run(tmp_path, experiment(arms={"baseline": Arm(dose=0)}), mixed)
    assert "nothing to compare" in section(html(run), "verdict")
    assert "nothing to compare" in printed(run)


def test_a_changed_corpus_is_said(tmp_path: Path) -> None:
    run = make_run(tmp_path, experiment(), mixed)
    made = json.loads((run / "run.json").read_text(encoding="utf-8"))
    made["plan"]["scenarios_sha256"] = "0" * 64
    write_json(run / "run.json", made)
    assert "scenario files have changed since this run" in section(html(run), "verdict")


@pytest.mark.parametrize("name", ["metrics.jsonl", "schedule.json"])
def test_a_missing_file_is_one_clear_line(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path, experiment(), flat)
    (run / "trait-5-s0" / name).unlink()
    with pytest.raises(ColorfastError, match=name) as error:
        write(run)
    assert "\n" not in str(error.value)
    assert not (run / "report").exists()


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("scores.parquet", "stopped at eval 0 of 2"),
        ("ledger.json", "stopped at step 4 of 4, before its first checkpoint"),
    ],
)
def test_a_cell_that_is_not_whole_is_left_out_and_named(
    tmp_path: Path, name: str, state: str
) -> None:
    run = make_run(tmp_path, experiment(), better)
    (run / "trait-5-s0" / name).unlink()
    for text in (section(html(run), "verdict"), printed(run, 300)):
        assert f"Only what is whole is compared. Not in here: trait-5-s0 ({state})" in text
        assert "trait-50 (50% dose) helped" in text


def test_a_damaged_ledger_is_one_clear_line(tmp_path: Path) -> None:
    run = make_run(tmp_path, experiment(), flat)
    write_json(run / "trait-5-s0/ledger.json", {"steps": 4})
    with pytest.raises(ColorfastError, match="damaged, or written by another version"):
        write(run)


def test_the_untrained_model_and_shown_replies_are_named(tmp_path: Path) -> None:
    e = experiment()
    shown = experiment(training=e.training.model_copy(update={"demonstrations": 1}))
    for text in (
        html(make_run(tmp_path / "a", shown, flat)),
        printed(tmp_path / "a" / shown.name, 300),
    ):
        assert "The untrained model scores 0.125 on the held-out scenarios" in text
        assert "1 of the 2 replies in a group is the task's own good reply" in text.replace(
            "&#39;", "'"
        )
    assert "own good reply" not in html(make_run(tmp_path / "b", e, flat))
