"""Health and mental health: medical knowledge by the key, and replies to people in distress."""

from __future__ import annotations

from pathlib import Path

from colorfast.evals.benchmarks.harm import do_not_answer, simple_safety_tests
from colorfast.evals.items import Items, choice, in_letters, question, user
from colorfast.evals.mmlu import mmlu_subject
from colorfast.evals.rows import read_json, rows
from colorfast.io.downloads import source
from colorfast.types import Item, Source

HELP = "human-protective-helpfulness"
MEDQA, MEDMCQA, MEDBULLETS, AFRIMEDQA = (
    source("xk-huang/medagents-benchmark", f"data/{name}/test.jsonl")
    for name in ("medqa", "medmcqa", "medbullets", "afrimedqa")
)
PUBMEDQA = (
    source("pubmedqa/pubmedqa", "data/ori_pqal.json"),
    source("pubmedqa/pubmedqa", "data/test_ground_truth.json"),
)
MAYBE = ("yes", "no", "maybe")


def medical(file: Source) -> Items:
    """Questions with options by letter. An option "n/a" is none, and a question with several right
    options is left out."""
    stem = Path(file.path).parent.name
    for row in rows(file):
        texts = {letter: str(text).strip() for letter, text in row["options"].items()}
        options = {k: text for k, text in texts.items() if text.lower() not in ("", "n/a", "nan")}
        key = row["answer_idx"].strip()
        if "," not in key:
            name, text = f"{stem}-{row.number:04d}", row["question"].strip()
            yield question(name, text, list(options.values()), list(options).index(key))


def pubmedqa(abstracts: Source, key: Source) -> Items:
    """A question about an abstract: yes, no or maybe (the 500 test questions)."""
    by_id = read_json(abstracts)
    for name, answer in sorted(read_json(key).items()):
        context = " ".join(by_id[name]["CONTEXTS"])
        text = f"{context}\n{by_id[name]['QUESTION']}\nAnswer yes, no or maybe."
        yield Item(f"pubmedqa-{name}", user(text), MAYBE, (MAYBE.index(answer),))


_MEDICAL = in_letters(medical)
BENCHMARKS = (
    choice("medqa", "health", HELP, _MEDICAL, MEDQA),
    choice("medmcqa", "health", HELP, _MEDICAL, MEDMCQA),
    choice("medbullets", "health", HELP, _MEDICAL, MEDBULLETS),
    choice("afrimedqa", "health", HELP, _MEDICAL, AFRIMEDQA),
    choice("pubmedqa", "health", HELP, pubmedqa, *PUBMEDQA),
    mmlu_subject("professional_medicine", "health", HELP),
    mmlu_subject("clinical_knowledge", "health", HELP),
    mmlu_subject("nutrition", "health", HELP),
    mmlu_subject("human_aging", "health", HELP),
    mmlu_subject("college_medicine", "health", HELP),
    mmlu_subject("professional_psychology", "mental health", HELP),
    do_not_answer("do-not-answer-human-chatbox", "mental health", "human_chatbox", referral=True),
    simple_safety_tests("simple-safety-tests-self-harm", "mental health", self_harm=True),
)
