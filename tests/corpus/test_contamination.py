"""Similar scenarios, and text that scenarios share with benchmark files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from colorfast.corpus import contamination, scenarios
from colorfast.types import ColorfastError
from helpers.bag import Bag

ROWS = scenarios.load(scenarios.HOME / "truthfulness.jsonl")


def test_near_duplicates_are_the_nearest_pair(bag: Bag) -> None:
    first = ROWS[0].messages[0]
    copied = first.model_copy(update={"content": first.content.replace("2021", "2020")})
    duplicate = ROWS[0].model_copy(update={"id": "truthfulness-health-91", "messages": (copied,)})
    rows = [*ROWS[:20], duplicate]
    for table in (contamination.by_words(rows), contamination.by_meaning(rows, bag)):
        nearest, second = contamination.nearest(rows, table, "within", 2)
        assert {nearest["a"], nearest["b"]} == {"truthfulness-health-01", "truthfulness-health-91"}
        assert nearest["likeness"] > 0.7
        assert second["likeness"] < 0.6


def test_a_file_that_shares_no_run_of_words_contaminates_nothing(tmp_path: Path) -> None:
    clean = "Nothing of interest stands in this file at all, not one line."
    (tmp_path / "clean.txt").write_text(clean)
    assert contamination.contaminated(ROWS, tmp_path) == []


def test_prompts_and_known_replies_in_benchmark_files_are_found(tmp_path: Path) -> None:
    prompt, reply = ROWS[3].messages[-1].content, ROWS[8].replies["good"]
    lines = [json.dumps({"q": f"Read this:\n{prompt}"}), json.dumps({"a": reply})]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "leak.jsonl").write_text("\n".join(lines))
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(ROWS[5].replies["good"].encode()))
    pairs = {(row["id"], row["file"]) for row in contamination.contaminated(ROWS, tmp_path)}
    assert pairs == {
        (ROWS[3].id, "a/leak.jsonl"),
        (ROWS[8].id, "a/leak.jsonl"),
        (ROWS[5].id, "packed.jsonl.gz"),
    }


def test_a_mirror_without_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ColorfastError, match="no benchmark files"):
        contamination.contaminated(ROWS, tmp_path / "nowhere")
