"""A language model as judge, at any OpenAI-compatible server: one call for each reply, and every
answer kept.

A reply cannot leave the place where it is quoted. A call that fails gives None with a reason. What
was judged once is not paid for again.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from openai import AsyncOpenAI

from colorfast.config import Endpoint
from colorfast.io.storage import digest, read_json, set_aside
from colorfast.models.client import PASSING, Answer, complete, send_each, where
from colorfast.rewards.rubric import TaskReply, degenerate, weigh
from colorfast.rewards.text import MAX_CHARACTERS
from colorfast.types import ColorfastError, Reply, Task, Verdict

HOME = Path(__file__).parent
SCHEMA = read_json(HOME / "judge_schema.json")
"""The JSON schema of an answer."""
MARKS = {"yes": 1.0, "partly": 0.5, "no": 0.0}
TOKENS_PER_MARK = 20
"""Room in the answer for one criterion."""
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>|[]&`"}


def quoted(value: Any) -> str:
    """Plain data as JSON in ASCII. What means something to chat templates (`<|`, `[INST]`, fences)
    is escaped inside strings, so no text can end a turn or a string."""
    text = json.dumps(value)
    return _JSON_STRING.sub(lambda match: match.group().translate(_ESCAPES), text)


def instructed(instructions: Path, data: dict[str, Any]) -> list[dict[str, str]]:
    """The messages of a request: fixed instructions from a file, then one JSON object."""
    text = instructions.read_text(encoding="utf-8")
    return [{"role": "system", "content": text}, {"role": "user", "content": quoted(data)}]


def request(reply: Reply, task: Task) -> list[dict[str, str]]:
    """The messages that ask for one reply's marks."""
    data = {
        "conversation": [m.model_dump() for m in task.messages],
        "reply": reply.text[:MAX_CHARACTERS],
        "criteria": [{"criterion": i, "text": c.text} for i, c in enumerate(task.rubric, 1)],
    }
    return instructed(HOME / "judge.md", data)


def parse_marks(answer: str, criteria: int) -> tuple[float, ...]:
    """The marks in an answer, one for each criterion. Raises ValueError, KeyError or TypeError when
    it does not follow the schema to the letter."""
    rows = json.loads(answer)["verdicts"]
    if [row["criterion"] for row in rows] != list(range(1, criteria + 1)):
        raise ValueError("not one verdict for each criterion")
    return tuple(MARKS[row["met"]] for row in rows)


@dataclass
class Usage:
    """What judging took. Tokens and cost (in the prices' currency) count every answer used, from
    the cache too, so a resumed run counts the same."""

    verdicts: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    def add(self, endpoint: Endpoint, answer: Marks | Answer) -> None:
        """Count one answer."""
        self.verdicts += 1
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        self.cost += endpoint.cost(answer.prompt_tokens, answer.completion_tokens)


class Marks(NamedTuple):
    """One mark in [0, 1] for each criterion, and the tokens that the answer took."""

    marks: tuple[float, ...]
    prompt_tokens: int
    completion_tokens: int


class Cache:
    """Marks by key, in SQLite. They are written as they arrive, so a killed run loses nothing.

    A damaged file is renamed NAME.broken. Raises ColorfastError when the file cannot be opened.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.db = _open(path)
        except sqlite3.OperationalError as error:  # locked, or not a file: not for us to rename
            raise ColorfastError(f"{path}: the judge's cache cannot be opened ({error})") from None
        except sqlite3.DatabaseError as error:
            set_aside(path, error)
            self.db = _open(path)

    def get(self, key: str) -> Marks | None:
        """The marks of a key; None when there are none, or when the row is damaged."""
        query = "SELECT marks, prompt, completion FROM marks WHERE key = ?"
        for text, prompt_tokens, completion_tokens in self.db.execute(query, (key,)):
            try:
                marks = tuple(float(mark) for mark in json.loads(text))
            except (TypeError, ValueError):
                return None
            return Marks(marks, prompt_tokens, completion_tokens)
        return None

    def put(self, key: str, answer: Marks) -> None:
        """Keep the marks of a key, in place of earlier ones."""
        row = (key, json.dumps(answer.marks), answer.prompt_tokens, answer.completion_tokens)
        self.db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)", row)


def _open(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.DatabaseError when the file is not a database, or a damaged one."""
    db = sqlite3.connect(path, isolation_level=None, timeout=60)
    (problem,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if problem != "ok":
        raise sqlite3.DatabaseError(problem)
    db.execute(
        "CREATE TABLE IF NOT EXISTS marks (key TEXT PRIMARY KEY, marks TEXT NOT NULL, prompt INT,"
        " completion INT)"
    )
    return db


@dataclass
class Judge:
    """Grades replies by asking an endpoint. `usage` adds up over its life."""

    endpoint: Endpoint
    cache: Cache
    usage: Usage = field(default_factory=Usage)

    def key(self, reply: Reply, task: Task) -> str:
        """A hash of all that can change an answer. Weights are not in it, because they are applied
        to the marks afterwards."""
        server = self.endpoint
        messages = request(reply, task)
        return digest([server.base_url, server.model, server.temperature, SCHEMA, messages])

    def grade(self, pairs: Sequence[TaskReply]) -> list[Verdict]:
        """One verdict for each pair, in order; None with a reason where there are no marks.

        Degenerate replies are not sent. Raises ColorfastError when the endpoint refuses the key or
        the model, or when no call at all succeeded.
        """
        zeros = [degenerate(reply, task) for reply, task in pairs]
        keys = [self.key(reply, task) for reply, task in pairs]
        answers: dict[str, Marks | str] = {}
        missing: dict[str, TaskReply] = {}
        for zero, key, pair in zip(zeros, keys, pairs, strict=True):
            if zero or key in answers:
                continue
            marks = self.cache.get(key)
            if marks is None:
                missing[key] = pair
            else:
                answers[key] = marks
                self.usage.add(self.endpoint, marks)
        if missing:
            answers |= self._ask_all(missing)
        verdicts = []
        for zero, key, (_, task) in zip(zeros, keys, pairs, strict=True):
            verdicts.append(zero or _verdict(answers[key], task))
        return verdicts

    def _ask_all(self, missing: dict[str, TaskReply]) -> dict[str, Marks | str]:
        answers = send_each(self.endpoint, list(missing.items()), self._ask)
        reasons = [answer for answer in answers if isinstance(answer, str)]
        if len(reasons) == len(answers):
            raise ColorfastError(
                f"judge: {where(self.endpoint)}: none of {len(answers)} answers is usable"
                f" ({reasons[0]})"
            )
        return dict(zip(missing, answers, strict=True))

    async def _ask(self, server: AsyncOpenAI, item: tuple[str, TaskReply]) -> Marks | str:
        """Marks, or the reason why there are none."""
        key, (reply, task) = item
        # A constitution has more criteria than the default room is for.
        room = max(self.endpoint.max_tokens, TOKENS_PER_MARK * (len(task.rubric) + 1))
        endpoint = self.endpoint.model_copy(update={"max_tokens": room})
        try:
            answer = await complete(server, endpoint, request(reply, task), SCHEMA)
        except PASSING as error:
            self.usage.failed += 1
            return f"judge: {type(error).__name__} after {self.endpoint.tries} tries"
        self.usage.add(self.endpoint, answer)
        try:
            values = parse_marks(answer.text, len(task.rubric))
        except (ValueError, KeyError, TypeError) as error:
            self.usage.failed += 1
            return f"judge: its answer does not follow the schema ({type(error).__name__})"
        marks = Marks(values, answer.prompt_tokens, answer.completion_tokens)
        self.cache.put(key, marks)
        return marks


def _verdict(answer: Marks | str, task: Task) -> Verdict:
    if isinstance(answer, str):
        return Verdict(None, answer, (None,) * len(task.rubric))
    return weigh(answer.marks, task)
