"""A model server as a policy: order kept, faults survived, choices read, and one line where it
cannot go on."""

from __future__ import annotations

import math
from typing import Any

import pytest

from colorfast.config import Endpoint, Evaluation
from colorfast.evals.scoring import by_letter, score_benchmark
from colorfast.models.choices import begun, read_choice
from colorfast.models.endpoint import EndpointPolicy, seed_of
from colorfast.types import Benchmark, ColorfastError, Item, Message
from helpers.server import Server, said

NEVER = -math.inf
LETTERS = ("A", "B", "C", "D")


def ask(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


def policy(server: Server, **settings: Any) -> EndpointPolicy:
    return EndpointPolicy(
        Endpoint(
            **{
                "base_url": server.url,
                "model": "m",
                "timeout": 1.2,
                "pause": 0.01,
                "concurrency": 4,
            }
            | settings
        )
    )


def test_replies_keep_their_order_and_carry_their_settings(serve: Any) -> None:
    server = serve(
        lambda _, data: said(
            f"{data['text']}!", tokens=7, finish="length" if data["text"] == "3" else "stop"
        )
    )
    replies = policy(server).sample(
        [ask(str(i)) for i in range(12)], [f"draw-{i}" for i in range(12)], 20, 0.7
    )
    assert [r.text for r in replies] == [f"{i}!" for i in range(12)]
    assert [r.truncated for r in replies] == [i == 3 for i in range(12)] and {
        r.tokens for r in replies
    } == {7}
    assert {(b["max_tokens"], b["temperature"]) for b in server.bodies} == {(20, 0.7)}
    seeds = {b["messages"][0]["content"]: b["seed"] for b in server.bodies}
    assert (
        seeds == {str(i): seed_of(f"draw-{i}") for i in range(12)}
        and len(set(seeds.values())) == 12
    )
    assert all(0 <= seed < 2**31 for seed in seeds.values())


def test_faults_that_pass_lose_nothing(serve: Any) -> None:
    faults = [
        (429, {"error": {"message": "slow down"}}),
        (500, {}),
        "cut",
        "sleep",
        (200, b"<html>busy</html>"),
    ]
    server = serve(
        lambda n, data: (
            faults[int(data["text"])] if n == 1 and data["text"] < "5" else said(data["text"])
        )
    )
    replies = policy(server).sample(
        [ask(str(i)) for i in range(8)], [str(i) for i in range(8)], 9, 0
    )
    assert [r.text for r in replies] == [str(i) for i in range(8)]
    assert server.asked == {str(i): 2 if i < 5 else 1 for i in range(8)}


def test_a_server_that_stops_midway_is_one_line_and_is_not_asked_for_the_rest(serve: Any) -> None:
    server = serve(lambda _, data: said("fine") if int(data["text"]) < 6 else (503, {}))
    with pytest.raises(
        ColorfastError,
        match=r"no answer \(InternalServerError after 2 tries\).* already finished are kept",
    ) as error:
        policy(server, tries=2).sample(
            [ask(str(i)) for i in range(200)], [str(i) for i in range(200)], 9, 0
        )
    assert (
        "\n" not in str(error.value) and server.url in str(error.value) and len(server.bodies) < 40
    )


def test_finished_evals_stay_when_the_server_stops(serve: Any) -> None:
    items = tuple(Item(str(i), ask(f"Is {i} odd?"), ("Yes", "No"), (1 - i % 2,)) for i in range(6))
    benchmark = Benchmark("odd", "tests", "choice", "", (), lambda: items)
    server = serve(
        lambda _, data: said("Yes." if int(data["text"].split()[1]) % 2 else "No, it is even.")
    )
    scores = score_benchmark(policy(server), benchmark, Evaluation(items=6), None, lambda n: None)
    assert [(s.value, s.probability) for s in scores] == [(1.0, None)] * 6
    assert server.bodies[0]["messages"][-1]["content"].endswith(
        "Answer with one of these and nothing else: Yes, No"
    )


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "refuses the key"), (403, "refuses the key"), (404, "no such model"), (400, "refused")],
)
def test_an_endpoint_that_refuses_is_one_line(serve: Any, status: int, hint: str) -> None:
    server = serve(lambda *_: (status, {"error": {"message": "no\nnever"}}))
    for call in (
        lambda p: p.sample([ask("Hi")] * 3, ["a", "b", "c"], 5, 1),
        lambda p: p.logprobs([ask("Hi")], [LETTERS]),
    ):
        with pytest.raises(ColorfastError, match=hint) as error:
            call(policy(server))
        assert "\n" not in str(error.value) and server.url in str(error.value)


def test_an_endpoint_out_of_reach_and_a_missing_key_are_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = EndpointPolicy(
        Endpoint(base_url="http://127.0.0.1:9/v1", model="m", tries=2, pause=0.01, timeout=1.2)
    )
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ColorfastError, match="set OPENAI_API_KEY"):
        mine.sample([ask("Hi")], ["x"], 5, 0)
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    with pytest.raises(ColorfastError, match=r"no answer \(APIConnectionError after 2 tries\)"):
        mine.sample([ask("Hi")], ["x"], 5, 0)


def test_choices_are_weighed_by_the_servers_log_probabilities(serve: Any) -> None:
    answers = {
        "first": said("B", tops=[{"B": -0.2, " A": -1.9, "The": -3.0, "D": -5.5}]),
        "bracket": said("(C)", tops=[{"(": 0.0, "A": -4.0}, {"C": -0.1, "B": -2.5}, {")": 0.0}]),
        "later": said(
            "The answer is D",
            tops=[
                {"The": -0.1, "A": -3.0},
                {" answer": 0.0},
                {" is": 0.0},
                {" D": -0.3, " B": -1.4},
            ],
        ),
        "unread": said("Well", tops=[{"Well": -0.5, "A": -1.0, "B": -2.0}]),
        "none": said("Well", tops=[{"Well": -0.5, "So": -1.0}]),
        "bare": said("C", tops=[{"C": -0.7}]),
    }
    server = serve(lambda _, data: answers[data["text"]])
    found = policy(server).logprobs([ask(t) for t in answers], [LETTERS] * len(answers))
    assert found == [
        [-1.9, -0.2, -5.5, -5.5],
        [-2.5, -2.5, -0.1, -2.5],
        [-1.4, -1.4, -1.4, -0.3],
        [-1.0, -2.0, -2.0, -2.0],
        [NEVER] * 4,
        [-0.7] * 4,
    ]
    body = server.bodies[0]
    assert (
        body["logprobs"],
        body["top_logprobs"],
        body["temperature"],
        body["max_tokens"] <= 16,
    ) == (True, 20, 0, True)


def test_without_log_probabilities_the_reply_picks(serve: Any) -> None:
    server = serve(lambda _, data: said(data["text"].removeprefix("silence")))
    found = policy(server).logprobs(
        [ask("The answer is (B)."), ask("Bananas"), ask("silence")], [LETTERS, LETTERS, LETTERS]
    )
    assert found == [[NEVER, 0.0, NEVER, NEVER], [NEVER] * 4, [NEVER] * 4]


def test_a_server_that_refuses_a_parameter_is_asked_without_it_and_remembered(serve: Any) -> None:
    def behave(_: int, data: dict[str, Any]) -> Any:
        odd = data["text"] == "too long" or "logprobs" in data or "seed" in data
        return (400, {"error": {"message": "not that"}}) if odd else said("B")

    server = serve(behave)
    mine = policy(server, concurrency=1)
    for _ in range(2):
        assert (
            mine.logprobs([ask("one"), ask("two")], [LETTERS] * 2)
            == [[NEVER, 0.0, NEVER, NEVER]] * 2
        )
        assert [r.text for r in mine.sample([ask("one"), ask("two")], ["a", "b"], 5, 1)] == [
            "B",
            "B",
        ]
    assert (
        sum("logprobs" in b for b in server.bodies) == sum("seed" in b for b in server.bodies) == 1
    )
    fresh = policy(server)
    with pytest.raises(ColorfastError, match="refused the request"):
        fresh.sample([ask("too long")], ["a"], 5, 1)
    assert not fresh.refused


@pytest.mark.parametrize(
    ("text", "picked"),
    [
        ("B", 1), ("(B)", 1), (" B.", 1), ("**B**", 1), ("B: Paris", 1), ("B) Paris", 1), ("b", 1),
        ("(b).", 1), ("B because it is", 1),
        ("The answer is B", 1), ("The correct answer is: (C).", 2), ("My answer: D", 3),
        ("I would choose option C here.", 2),
        ("A", 0), ("A.", 0), ("(A) Paris", 0), ("A - Paris", 0), ("A is right", 0),
        ("The answer is A.", 0), ("It is not A but D", 3),
        ("A good answer would be B", 1), ("A or B, but the answer is C", 2),
        ("Answer: A. The others (B, C) are wrong.", 0),
        ("Bananas", None), ("A good question.", None), ("Between A and B I cannot say", None),
        ("B and C both fit", None),
        ("DNA", None), ("I can't tell", None), ("Vitamin B-12 is", None), ("", None),
        ("The answer is Berlin", None), ("C's", None),
    ],
)  # fmt: skip
def test_letters_are_read_and_never_inside_a_word(text: str, picked: int | None) -> None:
    assert read_choice(text, LETTERS) == read_choice(text, ["(A)", "(B)", "(C)", "(D)"]) == picked


@pytest.mark.parametrize(
    ("text", "picked"),
    [
        ("Yes", 0),
        ("yes, of course", 0),
        ("No.", 1),
        ("NO", 1),
        ("The answer is no", 1),
        ("Nothing", None),
        ("I have no idea", None),
    ],
)
def test_short_words_are_read(text: str, picked: int | None) -> None:
    assert read_choice(text, (" Yes", " No")) == picked


def test_a_token_begins_one_choice_or_none() -> None:
    assert [begun(t, ("Yes", "No")) for t in ("Y", " yes", "N", "Now", "", " (")] == [
        0,
        0,
        1,
        None,
        None,
        None,
    ]
    assert [begun(t, ("True", "Truly", "1", "10")) for t in ("T", "Tru", "1", "10", "True")] == [
        None,
        None,
        2,
        3,
        0,
    ]
    assert [begun(t, ("(A)", "(B)")) for t in ("(A", "▁B", "a", "Apple")] == [0, 1, None, None]


def test_long_choices_are_asked_by_letter(serve: Any) -> None:
    item = Item(
        "x",
        ask("What is right?"),
        ("The first of these things", "The second of these things"),
        (1,),
    )
    server = serve(
        lambda _, data: said(
            "A" if data["text"].index("second") < data["text"].index("first") else "B"
        )
    )
    asked = by_letter(item)
    (logs,) = policy(server).logprobs([asked.messages], [asked.choices])
    assert logs.index(0.0) in asked.aligned
