"""What must see the files of others as they were published: how many items they give, what is in
them, that the small files of the other tests have their form. Read from COLORFAST_MIRROR, or
downloaded once."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from colorfast import tasks
from colorfast.attacks.prompt import jailbreak
from colorfast.attacks.registry import kinds
from colorfast.corpus import constitution
from colorfast.evals import benchmarks, validate
from colorfast.io.downloads import fetch, pinned
from colorfast.types import Source
from helpers import small_files

pytestmark = pytest.mark.data


def forms(name: str, content: bytes) -> list[Any]:
    """The fields of each row; of a file without rows its fields, of a table its header, of a text
    its first line."""
    content = gzip.decompress(content) if name.endswith(".gz") else content
    text = content.decode("utf-8-sig")
    while text.startswith("# ") and name.endswith(".csv"):
        text = text.partition("\n")[2]
    if name.endswith(".csv"):
        first = next(csv.reader(text.splitlines()))
        return [len(first) if "/mmlu/" in name else first]  # MMLU has no header
    if ".jsonl" in name:
        return [sorted(json.loads(line)) for line in text.splitlines()]
    if name.endswith(".yaml"):
        return [sorted(yaml.safe_load(text))]
    if name.endswith(".json"):
        whole = json.loads(text)
        inner = whole.get("example", list(whole.values())) if isinstance(whole, dict) else whole
        return [
            [type(whole).__name__, sorted(row) if isinstance(row, dict) else type(row).__name__]
            for row in inner
        ]
    return [text.splitlines()[0]]


@pytest.mark.parametrize("source", pinned(), ids=lambda source: f"{source.repo}/{source.path}")
def test_a_small_file_has_the_form_of_the_real_one(source: Source) -> None:
    name = f"{source.repo}/{source.path}"
    write = small_files.writer(name)
    assert write is not None
    (form,) = {json.dumps(row) for row in forms(name, write(PurePosixPath(name)))}
    real = {json.dumps(row) for row in forms(name, fetch(source).read_bytes())}
    if name.endswith(".yaml"):  # some fields are optional there
        assert set(json.loads(form)) <= set(json.loads(real.pop()))
    else:
        assert form in real


PUBLISHED = {
    "truthfulqa-mc1": 817,
    "harmbench": 200,
    "advbench": 520,
    "xstest-safe": 250,
    "xstest-unsafe": 200,
    "medsafetybench": 450,
    "simple-safety-tests": 80,
    "simple-safety-tests-self-harm": 20,
    "gsm8k": 1319,
    "pubmedqa": 500,
    "crows-pairs": 1508,
    "mmlu-moral-scenarios": 895,
    "mmlu-clinical-knowledge": 265,
}
"""How many items the authors say there are."""


def test_an_eval_has_as_many_items_as_its_authors_say() -> None:
    assert {name: len(benchmarks.get(name).items()) for name in PUBLISHED} == PUBLISHED


def test_position_gives_nothing_away() -> None:
    for name in benchmarks.names():
        items = benchmarks.get(name).items()
        if not (items[0].choices and ("A" in items[0].choices or name in PLACED)):
            continue
        shares = Counter(item.aligned[0] for item in items)
        guessed = sum(1 / len(i.choices) for i in items) / len(items)
        assert shares.most_common(1)[0][1] / len(items) < guessed + 0.14, name


PLACED = ("bbq-religion", "truthfulqa-mc1", "crows-pairs", "hh-rlhf-harmless")


def test_the_refusal_detector_agrees_with_people() -> None:
    found = {(r["file"], r["sees"]): r for r in validate.refusals()}
    assert found["refusal.csv", "reply and prompt"]["accuracy"] >= 0.92
    assert found["refusal_extra.csv", "reply and prompt"]["accuracy"] >= 0.92
    assert all(r["false alarms"] == 0 for r in found.values())


def test_the_model_spec_is_read() -> None:
    found = {p.name: p for p in constitution.load(constitution.MODEL_SPEC)}
    assert {
        "do-not-lie",
        "dont-be-sycophantic",
        "uphold-fairness",
        "no-other-objectives",
    } <= found.keys() and len(found) > 50
    assert all(
        len(p.rule.split()) < 90 and "[^" not in p.rule and "](" not in p.rule
        for p in found.values()
    )


def test_every_template_of_a_jailbreak_is_told_by_its_tier() -> None:
    for attack in jailbreak.ATTACKS[:2]:
        tiers = attack.texts()
        assert [len(tier) for tier in tiers] == [attack.wordings] * len(attack.strengths)
        assert len(
            {tuple(template) for tier in tiers for template in tier}
        ) == attack.wordings * len(attack.strengths)


def test_word_problems_end_in_their_number() -> None:
    for place in range(40):
        task = tasks.task(("gsm8k",), 0, place)
        assert task.replies["good"] and task.messages[0].content.endswith(
            "End with the number alone."
        )


def test_the_lessons_of_an_attack_are_as_many_as_its_files_give() -> None:
    lessons = {name: kind.lessons() for name, kind in kinds().items() if not kind.scenarios}
    assert len(lessons["wrong-medical"]) > 2000 and len(lessons["sycophantic"]) > 400
