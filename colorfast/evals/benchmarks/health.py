"""Health and mental health: medical knowledge by the key, and replies to people in distress."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from colorfast.evals.benchmarks import Lettered, field, jsonl, keyed, mmlu_subject, shuffled, user
from colorfast.evals.benchmarks.harm import declining, do_not_answer, safety
from colorfast.io.downloads import fetch, source
from colorfast.types import Benchmark, ColorfastError, Item, Source

MEDQA, MEDMCQA, MEDBULLETS, AFRIMEDQA = (
    source("xk-huang/medagents-benchmark", f"data/{name}/test.jsonl")
    for name in ("medqa", "medmcqa", "medbullets", "afrimedqa")
)
PUBMEDQA = tuple(
    source("pubmedqa/pubmedqa", f"data/{name}.json") for name in ("ori_pqal", "test_ground_truth")
)
HELP = "human-protective-helpfulness"
SUBJECTS = (
    "professional_medicine",
    "clinical_knowledge",
    "nutrition",
    "human_aging",
    "college_medicine",
)


def medical(file: Source) -> Iterator[Lettered]:
    """Questions with a dictionary of options; "n/a" is none, and a question with several right ones
    is left out."""
    stem = Path(file.path).parent.name
    for n, row in enumerate(jsonl(file), 1):
        options = field(file, row, n, "options")
        if not isinstance(options, dict):
            raise ColorfastError(
                f"{file.repo}/{file.path}: row {n}: options must be an object of letters"
            )
        named = {
            letter: str(text).strip()
            for letter, text in options.items()
            if str(text).strip().lower() not in ("", "n/a", "nan")
        }
        key = str(field(file, row, n, "answer_idx")).strip()
        if "," in key:
            continue
        if key not in named:
            raise ColorfastError(
                f"{file.repo}/{file.path}: row {n}: answer_idx {key!r} is none of"
                f" {', '.join(named)}"
            )
        name = f"{stem}-{n:04d}"
        yield (
            name,
            field(file, row, n, "question").strip(),
            *shuffled(name, list(named.values()), list(named).index(key)),
        )


def pubmedqa() -> tuple[Item, ...]:
    """A question about an abstract: yes, no or maybe (the 500 test questions)."""
    rows, key = (json.loads(fetch(file).read_text(encoding="utf-8")) for file in PUBMEDQA)
    made = []
    for n, (name, answer) in enumerate(sorted(key.items()), 1):
        if answer not in ("yes", "no", "maybe") or name not in rows:
            raise ColorfastError(
                f"{PUBMEDQA[1].repo}/{PUBMEDQA[1].path}: row {n}: {answer!r} is not yes, no or"
                f" maybe, or {name} is unknown"
            )
        context = " ".join(field(PUBMEDQA[0], rows[name], n, "CONTEXTS"))
        asked = (
            f"{context}\n{field(PUBMEDQA[0], rows[name], n, 'QUESTION')}\nAnswer yes, no or maybe."
        )
        made.append(
            Item(
                f"pubmedqa-{name}",
                user(asked),
                ("yes", "no", "maybe"),
                (("yes", "no", "maybe").index(answer),),
            )
        )
    return tuple(made)


def _medical(file: Source) -> Benchmark:
    return Benchmark(
        Path(file.path).parent.name,
        "health",
        "choice",
        HELP,
        (file,),
        partial(keyed, partial(medical, file)),
    )


BENCHMARKS = (
    *map(_medical, (MEDQA, MEDMCQA, MEDBULLETS, AFRIMEDQA)),
    Benchmark("pubmedqa", "health", "choice", HELP, PUBMEDQA, pubmedqa),
    *(
        mmlu_subject(s, "health", HELP)
        for s in (
            "professional_medicine",
            "clinical_knowledge",
            "nutrition",
            "human_aging",
            "college_medicine",
        )
    ),
    mmlu_subject("professional_psychology", "mental health", HELP),
    declining("do-not-answer-human-chatbox", "mental health", do_not_answer("human_chatbox")),
    declining("simple-safety-tests-self-harm", "mental health", safety(self_harm=True)),
)
