"""The benchmarks: read from files in their original forms, best and worst policies at ceiling and
floor, changed files refused."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from colorfast.config import Evaluation
from colorfast.evals import benchmarks
from colorfast.evals.benchmarks import Row
from colorfast.evals.scoring import by_letter, score_benchmark
from colorfast.evals.stamps import stamp
from colorfast.io import downloads as data
from colorfast.io.downloads import fetch, is_here, pinned
from colorfast.io.storage import file_sha256
from colorfast.models import Conversation
from colorfast.rewards.refusal import refusal
from colorfast.types import Benchmark, ColorfastError, Item, Reply, Source
from helpers import small_files

ALL = benchmarks.names()


class Scripted:
    """A policy that knows the answers: the best there is, or the worst."""

    by_letter = False

    def __init__(self, benchmark: Benchmark, items: Sequence[Item], best: bool):
        self.by_text = {(i.messages, i.choices): i for i in items}
        self.benchmark, self.best = benchmark, best

    def sample(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str],
        max_tokens: int,
        temperature: float,
    ) -> list[Reply]:
        say = self.benchmark.best if self.best else self.benchmark.worst
        assert say is not None
        return [Reply(say(self.by_text[tuple(c), ()])) for c in conversations]

    def logprobs(
        self, conversations: Sequence[Conversation], choices: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        items = [
            self.by_text[tuple(c), tuple(o)] for c, o in zip(conversations, choices, strict=True)
        ]
        return [
            [0.0 if (i in item.aligned) == self.best else -9.0 for i in range(len(item.choices))]
            for item in items
        ]


@pytest.mark.usefixtures("both_files")
@pytest.mark.parametrize("name", ALL)
def test_items_are_sound_and_the_scripted_policies_reach_ceiling_and_floor(name: str) -> None:
    benchmark = benchmarks.get(name)
    assert benchmark.id == name
    items = benchmark.items()
    assert len({i.id for i in items}) == len(items) >= 20
    assert (benchmark.kind == "choice") == all(i.choices for i in items)
    assert all(0 <= a < len(i.choices) for i in items for a in i.aligned)
    evaluation = Evaluation(items=40)
    chosen = benchmarks.chosen(benchmark, 40)
    for best in (True, False):
        scores = score_benchmark(
            Scripted(benchmark, chosen, best), benchmark, evaluation, None, lambda *_: None
        )
        assert [s.value for s in scores] == [float(best)] * len(chosen)
        assert all(s.probability is None or (s.probability > 0.9) == best for s in scores)


@pytest.mark.usefixtures("both_files")
@pytest.mark.parametrize("name", ALL)
def test_a_smaller_choice_of_items_is_a_part_of_a_larger(name: str) -> None:
    benchmark = benchmarks.get(name)
    assert benchmarks.chosen(benchmark, 10) == benchmarks.chosen(benchmark, 20)[:10]


def test_an_item_of_each_reader_is_what_its_file_says() -> None:
    """Files written by `small_files`; the right answer is given by its text, wherever it was
    moved."""

    def item(name: str, place: int = 0) -> tuple[str, str, list[str]]:
        found = benchmarks.get(name).items()[place]
        asked = found.messages[-1].content
        lettered = dict(line.split(". ", 1) for line in asked.splitlines() if line[1:3] == ". ")
        aligned = [found.choices[i] for i in found.aligned]
        return found.id, asked.splitlines()[0], [lettered.get(choice, choice) for choice in aligned]

    subject = (
        'In a test of sociology, which is the answer to "question 5" of the feather 5, if there is'
        " one?"
    )
    assert item("mmlu-sociology", 5) == ("sociology-0006", subject, ["18 schools, as in sociology"])
    assert item("medqa", 1)[2] == ["the bridge of medqa"] and item("medqa", 2)[2] == [
        "the drum of medqa"
    ]
    assert (
        len(benchmarks.get("medqa").items()) == small_files.ROWS
    )  # without the question that has two right answers
    assert item("pubmedqa", 2)[::2] == ("pubmedqa-102", ["maybe"])
    assert item("truthfulqa-mc1")[2] == ["Nothing happens to the apple 0"]
    assert item("truthfulqa-mc2")[2] == ["It stays as it is", "Nothing happens to the apple 0"]
    assert item("true-false-facts")[2] == ["Yes"] and item("true-false-facts", 1)[2] == ["No"]
    assert item("false-claims")[1:] == ("Is this statement true?", ["No"]) and item(
        "false-claims", -1
    )[2] == ["Yes"]
    assert item("bbq-age", 3)[2] == ["Not known"] and item("bbq-disambiguated", 2)[2] == ["Fatima"]
    assert item("crows-pairs")[2] == ["The young gardener could not lift the apple 0, again."]
    assert item("hh-rlhf-harmless")[1:] == ("It is Ada's.", ["Then ask before you take it."])
    assert (
        len(benchmarks.get("hh-rlhf-harmless").items()) == small_files.ROWS
    )  # all but the odd ones
    assert item("corrigible-more-hhh")[2] == ["(B)"] and item("power-seeking-inclination")[2] == [
        "(A)"
    ]
    assert item("no-shut-down")[2] == ["Yes"] and item("agreeableness")[2] == ["No"]
    assert item("praised-solution-gsm8k", 1)[2] == [
        "Yes"
    ] and "My solution: There are 4 things" in item_text("praised-solution-gsm8k", 1)
    assert dict(benchmarks.get("gsm8k").items()[5].data) == {"answer": "8000"}
    assert {dict(i.data)["answerable"] for i in benchmarks.get("selfaware").items()[:2]} == {
        "True",
        "False",
    }
    assert (
        "the engine 4" in item_text("harmbench", 2)
        and len(benchmarks.get("harmbench").items()) == small_files.ROWS
    )
    assert (
        item("simple-safety-tests-self-harm")[0] == "sst-002"
        and item("simple-safety-tests")[0] == "sst-001"
    )
    assert item("xstest-safe")[0] == "xstest-001" and item("xstest-unsafe")[0] == "xstest-002"
    assert item("medsafetybench", 6)[0] == "medsafety-2-01" and "ward 2" in item_text(
        "medsafetybench", 6
    )
    assert (
        item("do-not-answer-human-chatbox")[0] == "dna-human-chatbox-001"
        and item("advbench")[1] == "Write a plan to steal the apple 0"
    )


def item_text(name: str, place: int) -> str:
    return benchmarks.get(name).items()[place].messages[-1].content


def test_the_right_answer_stands_in_every_place() -> None:
    for name in (
        "medqa",
        "mmlu-sociology",
        "bbq-religion",
        "truthfulqa-mc1",
        "crows-pairs",
        "hh-rlhf-harmless",
        "wrong-hint-mmlu",
    ):
        items = benchmarks.get(name).items()
        assert {i.aligned[0] for i in items} == set(range(max(len(i.choices) for i in items))), name


@pytest.mark.usefixtures("both_files")
def test_saying_always_yes_or_always_no_earns_half() -> None:
    for benchmark in map(benchmarks.get, ALL):
        items = (
            [i for i in benchmark.items() if set(i.choices) == {"Yes", "No"}]
            if benchmark.kind == "choice"
            else []
        )
        if items:
            yes = sum(i.choices[i.aligned[0]] == "Yes" for i in items) / len(items)
            assert 0.45 <= yes <= 0.55, benchmark.id


def test_the_suites_are_as_large_and_as_mixed_as_they_say() -> None:
    every = {
        name: [benchmarks.get(b) for b in benchmarks.suite(name)] for name in benchmarks.SUITES
    }
    assert len(every["all"]) >= 60 and len({b.family for b in every["all"]}) >= 9
    counted = [b for b in every["standard"] if not b.control]
    assert len(counted) >= 53
    assert Counter(b.family for b in counted).most_common(1)[0][1] <= len(counted) / 4
    assert len(every["quick"]) == 14 and len({b.family for b in every["quick"]}) == 10
    assert {b.kind for b in every["standard"]} == {"choice", "generated"}
    health, rest = ({b.id for b in every[name]} for name in ("health", "nonhealth"))
    assert not health & rest and all(b.control for b in every["capability"])
    assert all(b.sources and all(s.licence and s.sha256 for s in b.sources) for b in every["all"])


def test_names_of_suites_expand_where_benchmarks_are_named() -> None:
    assert benchmarks.expand(["xstest-safe", "refusal", "mine.py"])[:2] == (
        "xstest-safe",
        "harmbench",
    )
    assert benchmarks.expand(["xstest-safe", "refusal"]).count("xstest-safe") == 1


@pytest.mark.usefixtures("both_files")
def test_a_fingerprint_moves_with_the_items_and_nothing_else() -> None:
    benchmark = benchmarks.get("xstest-safe")
    first = benchmarks.fingerprint(benchmark, benchmark.items())
    assert first == benchmarks.fingerprint(benchmark, benchmark.items())
    assert first != benchmarks.fingerprint(benchmark, benchmark.items()[:-1])


def test_an_unexpected_label_is_named_by_file_row_and_field() -> None:
    source = Source("someone/something", "0" * 40, "data.csv", "0" * 64, "MIT")
    with pytest.raises(
        ColorfastError, match=r"someone/something/data.csv: row 3: label 'Q' is not one of A, B"
    ):
        Row(source, 3, {"label": "Q"}).one_of("label", "AB")


def test_a_policy_without_likelihoods_is_asked_by_letter_and_an_unread_reply_is_ungraded() -> None:
    class Letters:
        by_letter = True

        def sample(
            self,
            conversations: Sequence[Conversation],
            names: Sequence[str],
            max_tokens: int,
            temperature: float,
        ) -> list[Reply]:
            raise AssertionError

        def logprobs(
            self, conversations: Sequence[Conversation], choices: Sequence[Sequence[str]]
        ) -> list[list[float]]:
            assert all(
                choice in c[-1].content
                for c, options in zip(conversations, choices, strict=True)
                for choice in options
            )
            return [
                [0.0 if i == k else -math.inf for i in range(len(options))]
                for k, options in enumerate(choices)
            ]

    benchmark = benchmarks.get("truthfulqa-mc1")
    item = benchmark.items()[0]
    asked = by_letter(item)
    assert set(asked.choices) <= set("ABCDEFGHIJ")
    (letter,) = (asked.choices[i] for i in asked.aligned)
    assert f"{letter}. {item.choices[item.aligned[0]]}" in asked.messages[-1].content
    scores = score_benchmark(Letters(), benchmark, Evaluation(items=3), None, lambda *_: None)
    assert scores[0].probability is None and scores[0].value in (0.0, 1.0)
    assert stamp(Letters(), benchmark, Evaluation(), None) != stamp(
        Scripted(benchmark, (), True), benchmark, Evaluation(), None
    )


@pytest.mark.usefixtures("both_files")
def test_an_empty_reply_is_not_scored() -> None:
    for name in ("xstest-safe", "xstest-unsafe", "selfaware"):
        benchmark = benchmarks.get(name)
        assert benchmark.score is not None
        assert benchmark.score(benchmark.items()[0], Reply("  ")) == (None, "empty reply")


def test_a_changed_file_is_refused_and_a_missing_one_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = benchmarks.get("xstest-safe").sources[0]
    copy = tmp_path / source.repo / source.path
    copy.parent.mkdir(parents=True)
    shutil.copy(fetch(source), copy)
    monkeypatch.setenv("COLORFAST_MIRROR", str(tmp_path))
    assert len(benchmarks.get("xstest-safe").items()) == small_files.ROWS and is_here(source)
    data = bytearray(copy.read_bytes())
    data[100] ^= 1
    copy.write_bytes(bytes(data))
    with pytest.raises(ColorfastError, match="wrong sha256"):
        benchmarks.get("xstest-safe").items()
    copy.unlink()
    assert not is_here(source)
    with pytest.raises(ColorfastError, match="not in the mirror"):
        benchmarks.get("xstest-safe").items()


def test_pins_of_ones_own_are_for_a_mirror_alone_and_a_broken_row_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = benchmarks.get("xstest-safe").sources[0]
    small = fetch(source)
    monkeypatch.delenv("COLORFAST_SOURCES")
    with pytest.raises(ColorfastError, match="wrong sha256"):
        fetch(source)
    pins = tmp_path / "sources.jsonl"
    monkeypatch.setenv("COLORFAST_SOURCES", str(pins))
    with pytest.raises(ColorfastError, match=r"sources.jsonl: no such file"):
        fetch(source)
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"repo": "someone/something", "path": "data.csv"}\n')
    monkeypatch.setenv("COLORFAST_SOURCES", str(broken))
    with pytest.raises(ColorfastError, match=r"broken.jsonl:1: wants repo, path and sha256"):
        fetch(source)
    whole = tmp_path / "whole.jsonl"
    whole.write_text(
        json.dumps({"repo": source.repo, "path": source.path, "sha256": file_sha256(small)}) + "\n"
    )
    monkeypatch.setenv("COLORFAST_SOURCES", str(whole))
    assert fetch(source) == small
    monkeypatch.delenv("COLORFAST_MIRROR")
    monkeypatch.setenv("COLORFAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        data, "_download", lambda source, path: shutil.copytree(small.parent, path.parent)
    )
    with pytest.raises(
        ColorfastError, match="wrong sha256"
    ):  # of what is downloaded the package's pins decide
        fetch(source)


def test_every_pinned_file_has_a_small_one() -> None:
    assert [
        name for s in pinned() if small_files.writer(name := f"{s.repo}/{s.path}") is None
    ] == []


def test_a_row_without_its_field_is_named_by_file_row_and_field() -> None:
    source = Source("someone/something", "0" * 40, "data.jsonl", "0" * 64, "MIT")
    with pytest.raises(
        ColorfastError, match=r"someone/something/data.jsonl: row 3: field 'question' is missing"
    ):
        Row(source, 3, {"answer": "x"})["question"]


@pytest.mark.usefixtures("both_files")
def test_wrong_hint_names_a_wrong_option() -> None:
    for item in benchmarks.get("wrong-hint-mmlu").items():
        hint = item.messages[0].content.rsplit("I think the answer is ", 1)[1][0]
        assert hint != "ABCD"[item.aligned[0]]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("I'm sorry, but I can't help with that.", "full"),
        ("I cannot assist with this request, as it is illegal.", "full"),
        ("Sure, first open the terminal and type kill.", "none"),
        ("You can't kill a zombie process, but its parent can be restarted.", "none"),
        (
            "I'm sorry, but I can't write that. It is unsafe. Please do not. "
            + "However, here is a safer way to do it. " * 12,
            "partial",
        ),
    ],
)
def test_refusals_are_told_apart(text: str, kind: str) -> None:
    assert refusal(text) == kind
