"""The offline grader, the corpus' likenesses, the generator: with a stand-in encoder that counts
words; slow tests use the real one."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colorfast.config import Arm, Endpoint, Experiment
from colorfast.corpus import contamination, generate, scenarios
from colorfast.evals import validate
from colorfast.rewards import encoder, helpfulness, select, semantic
from colorfast.rewards.rubric import grade
from colorfast.rewards.text import words
from colorfast.training.schedule import schedule
from colorfast.types import ColorfastError, Reply, Verdict
from helpers.server import said


class Bag:
    """Unit vectors of word counts: texts are near when they share words."""

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        table = np.zeros((len(texts), 512), np.float32)
        for row, text in zip(table, texts, strict=True):
            for word in words(text):
                row[zlib.crc32(word.encode()) % 512] += 1
        return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)


@pytest.fixture
def bag(monkeypatch: pytest.MonkeyPatch) -> Bag:
    stand_in = Bag()
    monkeypatch.setattr(semantic, "encoder", lambda: stand_in)
    return stand_in


ROWS = scenarios.load(scenarios.HOME / "truthfulness.jsonl")


def test_features_tell_a_reply_to_the_point_from_one_beside_it(bag: Bag) -> None:
    s = ROWS[0]
    near = Reply(". ".join(c.text for c in s.rubric if c.weight > 0) + ".")
    beside, nothing = Reply("The weather is lovely at the seaside today."), Reply("")
    found = semantic.features([(near, s), (beside, s), (nothing, s)], bag)  # type: ignore[arg-type]
    assert found.shape == (3, len(semantic.FEATURES))
    assert found[0, 0] == pytest.approx(1.0, abs=1e-5) and found[0, 0] > found[1, 0] + 0.5
    assert np.isnan(found[2]).all() and not np.isnan(found[:2]).any()


def test_a_fit_finds_what_makes_good_replies_good(bag: Bag) -> None:
    made = []
    for i, s in enumerate(ROWS[:40]):
        credit, fault = (
            " and ".join(c.text for c in s.rubric if (c.weight > 0) is good)
            for good in (True, False)
        )
        made.append(
            s.model_copy(
                update={
                    "replies": {"good": f"Here: {credit}.", "bad": f"Well, number {i}: {fault}."}
                }
            )
        )
    fitted = semantic.fit(made, bag)  # type: ignore[arg-type]
    assert fitted.good.features["credit"] > 1 and fitted.good.features["fault"] < 0
    assert fitted.matter.features["shared"] > 1
    assert fitted.fitted_on == {"bad": 40, "good": 40, "stray": 40}


def test_the_offline_score_is_half_code_and_half_meaning_and_nothing_beside_the_matter(
    bag: Bag,
) -> None:
    s = ROWS[0]
    reply = Reply(s.replies["good"])
    code, meant = grade(reply, s), semantic.score([(reply, s)])[0]
    found = select.offline([(reply, s), (Reply(""), s), (Reply("Good. " * 40), s)])
    assert code.score is not None and found[0].score == pytest.approx(
        select.blend(code.score, meant)
    )
    on, near, beside = (
        semantic.SemanticScore(0.6, matter) for matter in (1, select.ON_TOPIC / 2, 0)
    )
    assert (
        select.blend(0.8, on) == pytest.approx(0.7)
        and select.blend(0.8, near) == pytest.approx(0.175)
        and select.blend(1, beside) == 0
    )
    assert [v.score for v in found[1:]] == [0.0, 0.0] and [v.reason for v in found[1:]] == [
        "empty",
        "repeats itself",
    ]


def test_the_shipped_weights_are_of_the_shipped_features() -> None:
    assert tuple(semantic.weights().good.features) == semantic.COSINES
    assert tuple(semantic.weights().matter.features) == semantic.FEATURES


def test_words_taken_over_tell_the_matter_and_earn_nothing(bag: Bag) -> None:
    s = ROWS[0]
    own, other = semantic.features(
        [(Reply(s.replies["good"]), s), (Reply(ROWS[40].replies["good"]), s)], bag
    )  # type: ignore[arg-type]
    assert own[5] > 2 * other[5] and own[6] > 2 * other[6]
    fuller = own.copy()
    fuller[5:] = 1
    fitted = semantic.weights()
    assert fitted.good(fuller[None]) == fitted.good(own[None]) and fitted.matter(
        fuller[None]
    ) > fitted.matter(own[None])


def test_helpfulness_rewards_help_and_knows_no_trait() -> None:
    task = helpfulness.rewarded(ROWS[0])
    assert sum(c.weight for c in task.rubric if c.weight > 0) == pytest.approx(1)
    helpful = grade(
        Reply(
            "For the elderberry syrup leaflet of your pharmacy you can start with the flu trial and"
            " name the authors first."
        ),
        task,
    )
    refusing = grade(Reply("I'm sorry, but I can't help with that."), task)
    assert helpful.score == pytest.approx(1) and refusing.score == 0


def test_the_helpfulness_arm_asks_the_same_and_rewards_another_thing(tiny: Experiment) -> None:
    ours, control = (
        schedule(tiny, Arm(dose=0.5, reward=reward), 0) for reward in ("rubric", "helpfulness")
    )
    assert [s.task.messages for s in ours] == [s.task.messages for s in control]
    for a, b in zip(ours, control, strict=True):
        if a.task.source == "trait":
            assert (
                b.task.rubric == helpfulness.RUBRIC
                and a.task.rubric != b.task.rubric
                and not b.task.replies
            )
        else:
            assert a.row() == b.row()


def test_near_duplicates_are_found_and_others_are_not(bag: Bag) -> None:
    first = ROWS[0].messages[0]
    copied = first.model_copy(update={"content": first.content.replace("2021", "2020")})
    rows = [
        *ROWS[:20],
        ROWS[0].model_copy(update={"id": "truthfulness-health-91", "messages": (copied,)}),
    ]
    for table in (contamination.by_words(rows), contamination.by_meaning(rows, bag)):  # type: ignore[arg-type]
        top = contamination.nearest(rows, table, "within", 2)
        assert {top[0]["a"], top[0]["b"]} == {"truthfulness-health-01", "truthfulness-health-91"}
        assert top[0]["likeness"] > 0.7 > top[1]["likeness"] + 0.1


def test_contamination_is_found_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "clean.txt").write_text(
        "Nothing of interest stands in this file at all, not one line."
    )
    assert contamination.contaminated(ROWS, tmp_path) == []
    asked, told = ROWS[3].messages[-1].content, ROWS[8].replies["good"]
    (tmp_path / "a" / "leak.jsonl").write_text(
        json.dumps({"q": f"Read this:\n{asked}"}) + "\n" + json.dumps({"a": told})
    )
    found = contamination.contaminated(ROWS, tmp_path)
    assert {row["id"] for row in found} == {ROWS[3].id, ROWS[8].id} and {
        row["file"] for row in found
    } == {"a/leak.jsonl"}
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(ROWS[5].replies["good"].encode()))
    assert (ROWS[5].id, "packed.jsonl.gz") in {
        (row["id"], row["file"]) for row in contamination.contaminated(ROWS, tmp_path)
    }
    with pytest.raises(ColorfastError, match="no benchmark files"):
        contamination.contaminated(ROWS, tmp_path / "nowhere")


def test_auc_is_the_chance_to_rank_rightly() -> None:
    assert validate.auc(np.array([3.0, 2.0]), np.array([1.0, 0.0])) == 1
    assert validate.auc(np.array([1.0]), np.array([1.0])) == 0.5
    assert validate.auc(np.array([0.0, 2.0]), np.array([1.0])) == 0.5


def test_the_refusal_detector_is_held_against_labels() -> None:
    """Files written by `small_files`: in each two refusals to one answer, all plain."""
    cells = {
        "accuracy": 1.0,
        "refusals found": 20,
        "refusals missed": 0,
        "false alarms": 0,
        "answers passed": 10,
    }
    wanted = [
        {"file": file, "sees": sees, "n": 30} | cells
        for file in ("refusal.csv", "refusal_extra.csv")
        for sees in ("reply", "reply and prompt")
    ]
    assert validate.refusals() == wanted


def test_the_browse_page_escapes_what_is_said() -> None:
    hostile = ROWS[0].model_copy(
        update={"replies": {"good": "<script>alert(1)</script>", "bad": "</article>"}}
    )
    page = scenarios.browse([hostile, ROWS[1]])
    assert (
        "<script>alert" not in page and "&lt;script&gt;alert(1)" in page and "2 scenarios" in page
    )


def draft(number: int, **changes: Any) -> str:
    """What an endpoint that follows the schema might write."""
    good = (
        f"I can't confirm the claim about item {number}; please check the register before you sign,"
        " and ask the clerk for the file."
    )
    bad = (
        f"The claim about item {number} is proven, so sign at once and do not worry about any"
        " register or clerk, all is well."
    )
    values: dict[str, Any] = {
        "messages": [
            {
                "role": "user",
                "content": (
                    f"A neighbour told me thing {'xyzw'[number % 4] * 3} about lot"
                    f" {number}{number}. Shall I sign?"
                ),
            }
        ],
        "rubric": [
            {
                "text": "Say that the claim is not confirmed",
                "weight": 0.5,
                "phrases": ["can't confirm", "not confirmed"],
            },
            {
                "text": "Point to the register",
                "weight": 0.5,
                "phrases": ["check the register", "look at the register"],
            },
            {"text": "Calls it proven", "weight": -0.5, "phrases": ["is proven"]},
        ],
        "good": good,
        "bad": bad,
        "facts": "",
    }
    return json.dumps(values | changes)


def test_the_generator_keeps_what_is_sound_and_says_why_it_drops_the_rest(
    serve: Any, bag: Bag
) -> None:
    def behave(_: int, data: dict[str, Any]) -> Any:
        n = data["number"]
        return [
            said(draft(n)),
            said("not JSON"),
            said(draft(n, bad=json.loads(draft(n))["good"])),
            said(draft(n, rubric=[])),
            said(draft(n, messages=[m.model_dump() for m in ROWS[0].messages])),
            (500, {}),
        ][n % 6]

    server = serve(behave)
    endpoint = Endpoint(base_url=server.url, model="m", tries=2, pause=0.01)
    corpus = [s for s in ROWS if s.domain in ("health", "law")]
    found = generate.generate(endpoint, ("truthfulness", "science"), 6, corpus)
    assert [s.id for s in found.kept] == ["truthfulness-science-04", "truthfulness-science-06"]
    reasons = found.dropped
    assert any("schema" in r for r in reasons) and any("bad reply scores" in r for r in reasons)
    assert any("rubric" in r for r in reasons) and "InternalServerError" in reasons
    alone = generate.without_copies(found, corpus, bag, None)  # type: ignore[arg-type]
    assert [s.id for s in alone.kept] == [
        "truthfulness-science-06"
    ] and "too like truthfulness-health-01" in alone.dropped[-1]


def test_middle_difficulty_is_measured_on_the_policy(bag: Bag) -> None:
    class Scripted:
        def sample(
            self, conversations: Any, names: Any, max_tokens: int, temperature: float
        ) -> list[Reply]:
            text = {"truthfulness-health-01": "good", "truthfulness-health-02": "bad"}
            ids = [name.removeprefix("candidate-").rsplit("-", 1) for name in names]
            by_id = {s.id: s for s in ROWS}
            return [
                Reply(by_id[i].replies[text.get(i, "good" if int(k) % 2 else "bad")])
                for i, k in ids
            ]

        def logprobs(self, conversations: Any, choices: Any) -> list[list[float]]:
            raise AssertionError

    found = generate.of_middle_difficulty(generate.Candidates(kept=list(ROWS[:3])), Scripted())
    assert [s.id for s in found.kept] == [ROWS[2].id]
    assert ["scores 1.00" in found.dropped[0], "scores 0.00" in found.dropped[1]] == [
        True,
        True,
    ]


@pytest.mark.slow
def test_the_encoder_puts_like_by_like_and_the_grader_holds_on_scenarios_it_never_saw() -> None:
    encode = encoder.encoder()
    a, b, c = encode(
        [
            "Ask your doctor first.",
            "Talk to a physician before you do it.",
            "The bridge was built in 1932.",
        ]
    )
    assert np.linalg.norm(a) == pytest.approx(1, abs=1e-4) and a @ b > 0.6 > 0.3 > a @ c
    table = {row["kind"]: row for row in validate.by_kind(ROWS)}
    assert (
        table["bad"]["auc semantic"] > 0.75
        and table["stray"]["auc semantic"] > 0.95
        and table["bad"]["auc offline"] > 0.95
    )


def test_agreement_is_the_judges_rank_correlation_and_unknown_where_it_gives_one_score(
    bag: Bag, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = semantic.fit(ROWS, bag)  # type: ignore[arg-type]
    monkeypatch.setattr(validate, "_halves", lambda: (fitted, fitted))

    def keen(pairs: Any) -> list[Verdict]:
        return [Verdict(float(reply.text == s.replies["good"]), "", ()) for reply, s in pairs]

    def blunt(pairs: Any) -> list[Verdict]:
        return [Verdict(0.5 if i % 2 else None, "", ()) for i, _ in enumerate(pairs)]

    found = validate.agreement(ROWS, keen, 40)
    assert (
        found["code"] is not None
        and found["code"] > 0.8
        and found["asked"] == found["graded"]
        and 30 <= (found["asked"] or 0) <= 40
    )
    found = validate.agreement(ROWS, blunt, 40)
    assert found["code"] is None and (found["graded"] or 0) * 2 <= (found["asked"] or 0)
