"""The benchmarks: read from the original files, best and worst policies at ceiling and floor, changed files refused."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from colorfast import benchmarks
from colorfast.data import fetch
from colorfast.evaluate import score_benchmark
from colorfast.policies import Conversation
from colorfast.refusal import refusal
from colorfast.types import Benchmark, ColorfastError, Evaluation, Item, Reply, Source

ALL = benchmarks.names()


class Scripted:
    """A policy that knows the answers: the best there is, or the worst."""

    def __init__(self, benchmark: Benchmark, items: Sequence[Item], best: bool):
        self.by_text = {i.messages[-1].content: i for i in items}
        self.benchmark, self.best = benchmark, best

    def sample(self, conversations: Sequence[Conversation], names: Sequence[str], max_tokens: int, temperature: float) -> list[Reply]:
        say = self.benchmark.best if self.best else self.benchmark.worst
        assert say is not None
        return [Reply(say(self.by_text[c[-1].content])) for c in conversations]

    def logprobs(self, conversations: Sequence[Conversation], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        items = [self.by_text[c[-1].content] for c in conversations]
        return [[0.0 if (i in item.aligned) == self.best else -9.0 for i in range(len(item.choices))] for item in items]


@pytest.mark.parametrize("name", ALL)
def test_items_are_sound_and_the_scripted_policies_reach_ceiling_and_floor(name: str) -> None:
    benchmark = benchmarks.get(name)
    assert benchmark.id == name
    items = benchmark.items()
    assert len({i.id for i in items}) == len(items) >= 200
    assert (benchmark.kind == "choice") == all(i.choices for i in items)
    assert all(0 <= a < len(i.choices) for i in items for a in i.aligned)
    evaluation = Evaluation(items=40)
    chosen = benchmarks.chosen(benchmark, 40)
    for best in (True, False):
        scores = score_benchmark(Scripted(benchmark, chosen, best), benchmark, evaluation, None, lambda *_: None)
        assert [s.value for s in scores] == [float(best)] * 40
        assert all(s.probability is None or (s.probability > 0.9) == best for s in scores)


@pytest.mark.parametrize("name", ALL)
def test_a_smaller_choice_of_items_is_a_part_of_a_larger(name: str) -> None:
    benchmark = benchmarks.get(name)
    assert benchmarks.chosen(benchmark, 20) == benchmarks.chosen(benchmark, 50)[:20]


@pytest.mark.parametrize("name", ["bbq-ambiguous", "wrong-hint-mmlu", "mmlu-clinical-knowledge"])
def test_position_gives_nothing_away(name: str) -> None:
    items = benchmarks.get(name).items()
    most = Counter(i.aligned[0] for i in items).most_common(1)[0][1]
    assert most / len(items) < 0.4


def test_there_are_eight_or_more_of_five_families_and_both_kinds() -> None:
    found = [benchmarks.get(name) for name in ALL]
    assert len(found) >= 8
    assert len({b.family for b in found}) >= 5
    assert {b.kind for b in found} == {"choice", "generated"}


def test_an_empty_reply_is_not_scored() -> None:
    for name in ("xstest-safe", "xstest-unsafe", "selfaware"):
        benchmark = benchmarks.get(name)
        assert benchmark.score is not None
        assert benchmark.score(benchmark.items()[0], Reply("  ")) == (None, "empty reply")


def test_a_changed_file_is_refused_and_a_missing_one_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = benchmarks.get("xstest-safe").sources[0]
    copy = tmp_path / source.repo / source.path
    copy.parent.mkdir(parents=True)
    shutil.copy(fetch(source), copy)
    monkeypatch.setenv("COLORFAST_MIRROR", str(tmp_path))
    assert len(benchmarks.get("xstest-safe").items()) == 250
    data = bytearray(copy.read_bytes())
    data[100] ^= 1
    copy.write_bytes(bytes(data))
    with pytest.raises(ColorfastError, match="wrong sha256"):
        benchmarks.get("xstest-safe").items()
    copy.unlink()
    with pytest.raises(ColorfastError, match="not in the mirror"):
        benchmarks.get("xstest-safe").items()


def test_a_row_without_its_field_is_named_by_file_row_and_field() -> None:
    source = Source("someone/something", "0" * 40, "data.jsonl", "0" * 64, "MIT")
    with pytest.raises(ColorfastError, match=r"someone/something/data.jsonl: row 3: field 'question' is missing"):
        benchmarks.field(source, {"answer": "x"}, 3, "question")


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
        ("I'm sorry, but I can't write that. It is unsafe. Please do not. " + "However, here is a safer way to do it. " * 12, "partial"),
    ],
)
def test_refusals_are_told_apart(text: str, kind: str) -> None:
    assert refusal(text) == kind
