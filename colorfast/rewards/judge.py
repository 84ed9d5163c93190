"""A language model as judge: any OpenAI-compatible server, one call a rubric, every verdict kept.

Nothing a reply says can leave the place it is quoted in, a call that fails is `None` with a reason,
and what was once judged is never paid for again.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

from colorfast.config import Endpoint
from colorfast.io.storage import digest, set_aside
from colorfast.models.client import PASSING, client, complete
from colorfast.rewards.rubric import degenerate, weigh
from colorfast.rewards.text import READ
from colorfast.types import ColorfastError, Reply, Task, Verdict

HOME = Path(__file__).parent
MARK_TOKENS = 20
"""Room for one verdict in the answer's JSON."""
MARKS = {"yes": 1.0, "partly": 0.5, "no": 0.0}
Pair = tuple[Reply, Task]
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>|[]&`"}
SCHEMA = {
    "type": "object",
    "properties": {
        "verdicts": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "criterion": {"type": "integer"},
                    "met": {"type": "string", "enum": list(MARKS)},
                },
                "required": ["criterion", "met"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["verdicts"],
    "additionalProperties": False,
}


def prompt() -> str:
    """What the judge is told; `rubric.md`."""
    return (HOME / "judge.md").read_text(encoding="utf-8")


def quoted(value: Any) -> str:
    """Plain data as JSON, with what chat templates give a meaning to (`<|`, `[INST]`, fences)
    escaped inside strings.

    Whatever stands in it, the text holds no end of a turn and no end of a string.
    """
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=True).translate(_ESCAPES)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)}: {quoted(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(quoted, value)) + "]"
    return json.dumps(value)


def request(reply: Reply, task: Task) -> list[dict[str, str]]:
    """The messages that ask for one rubric's verdicts: fixed instructions, then one JSON object and
    nothing else."""
    data = {
        "conversation": [m.model_dump() for m in task.messages],
        "reply": reply.text[:READ],
        "criteria": [{"criterion": i, "text": c.text} for i, c in enumerate(task.rubric, 1)],
    }
    return [{"role": "system", "content": prompt()}, {"role": "user", "content": quoted(data)}]


def read(answer: str, criteria: int) -> tuple[float, ...]:
    """The marks of an answer, one for each criterion. Raises ValueError when it does not follow the
    schema to the letter."""
    rows = json.loads(answer)["verdicts"]
    if [row["criterion"] for row in rows] != list(range(1, criteria + 1)):
        raise ValueError("not one verdict for each criterion")
    return tuple(MARKS[row["met"]] for row in rows)


@dataclass
class Usage:
    """What judging used. Tokens and cost (in the prices' currency) are those of every answer used,
    from the cache too, so that a run that was killed and continued counts the same; `calls` are
    those asked for here and now."""

    verdicts: int = 0
    calls: int = 0
    cached: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    def add(self, endpoint: Endpoint, prompt_tokens: int, completion_tokens: int) -> None:
        self.verdicts += 1
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        self.cost += endpoint.cost(prompt_tokens, completion_tokens)


Kept = tuple[tuple[float, ...], int, int]
"""Marks, and the prompt and completion tokens that they took."""


class Cache:
    """Marks by key, in SQLite; written the moment they arrive, so that a killed run loses nothing.
    A damaged file is set aside."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.db = _opened(path)
        except sqlite3.OperationalError as error:  # locked, or not ours to write
            raise ColorfastError(
                f"{path}: the cache of verdicts cannot be opened ({error})"
            ) from None
        except sqlite3.DatabaseError as error:
            set_aside(path, error)
            self.db = _opened(path)

    def get(self, key: str) -> Kept | None:
        row = self.db.execute(
            "SELECT marks, prompt, completion FROM marks WHERE key = ?", (key,)
        ).fetchone()
        try:
            return (tuple(map(float, json.loads(row[0]))), row[1], row[2]) if row else None
        except (TypeError, ValueError):  # damaged: asked for again
            return None

    def put(
        self, key: str, marks: Sequence[float], prompt_tokens: int, completion_tokens: int
    ) -> None:
        self.db.execute(
            "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)",
            (key, json.dumps(list(marks)), prompt_tokens, completion_tokens),
        )


def _opened(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.DatabaseError for a file that is no database, or a broken one."""
    db = sqlite3.connect(path, isolation_level=None, timeout=60)
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
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
        """Everything that may change an answer; not the weights, which are applied afterwards."""
        return digest(
            [
                self.endpoint.base_url,
                self.endpoint.model,
                self.endpoint.temperature,
                SCHEMA,
                request(reply, task),
            ]
        )

    def grade(
        self, pairs: Sequence[Pair], advance: Callable[..., None] = lambda n=1: None
    ) -> list[Verdict]:
        """One verdict a pair, in order; what could not be judged is None with a reason.

        Raises ColorfastError when the endpoint refuses the key or the model, or when no call at all
        succeeded.
        """
        return asyncio.run(self._grade_all(pairs, advance))

    async def _grade_all(
        self, pairs: Sequence[Pair], advance: Callable[..., None]
    ) -> list[Verdict]:
        wanted: dict[str, Pair] = {}
        marks: dict[str, tuple[float, ...] | str] = {}
        keys = [None if degenerate(*pair) else self.key(*pair) for pair in pairs]
        for key, pair in zip(keys, pairs, strict=True):
            if key is None or key in marks or key in wanted:
                continue
            known = self.cache.get(key)
            if known is None:
                wanted[key] = pair
            else:
                marks[key] = known[0]
                self.usage.cached += 1
                self.usage.add(self.endpoint, *known[1:])
        advance(len(pairs) - len(wanted))
        if wanted:
            marks |= await self._ask_all(wanted, advance)
        return [
            self._verdict(pair, None if key is None else marks[key])
            for pair, key in zip(pairs, keys, strict=True)
        ]

    def _verdict(self, pair: Pair, marks: tuple[float, ...] | str | None) -> Verdict:
        reply, task = pair
        if marks is None:
            return Verdict(0.0, degenerate(reply, task), tuple(0.0 for _ in task.rubric))
        return (
            Verdict(None, marks, tuple(None for _ in task.rubric))
            if isinstance(marks, str)
            else weigh(marks, task)
        )

    async def _ask_all(
        self, wanted: dict[str, Pair], advance: Callable[..., None]
    ) -> dict[str, tuple[float, ...] | str]:
        gate = asyncio.Semaphore(self.endpoint.concurrency)
        found: dict[str, tuple[float, ...] | str] = {}
        async with client(self.endpoint) as server:

            async def one(key: str, pair: Pair) -> None:
                async with gate:
                    found[key] = await self._ask(server, key, pair)
                advance(1)

            try:
                async with asyncio.TaskGroup() as group:
                    for key, pair in wanted.items():
                        group.create_task(one(key, pair))
            except* ColorfastError as errors:
                raise errors.exceptions[0] from None
        reasons = [v for v in found.values() if isinstance(v, str)]
        if len(reasons) == len(found):
            raise ColorfastError(
                f"judge {self.endpoint.model} at {self.endpoint.base_url}: none of {len(found)}"
                f" answers is usable ({reasons[0]})"
            )
        return found

    def _with_room(self, criteria: int) -> Endpoint:
        """The endpoint with room for a verdict on each criterion: a constitution has more of them
        than a scenario."""
        return self.endpoint.model_copy(
            update={"max_tokens": max(self.endpoint.max_tokens, MARK_TOKENS * (criteria + 1))}
        )

    async def _ask(self, server: AsyncOpenAI, key: str, pair: Pair) -> tuple[float, ...] | str:
        """Marks, or the reason why there are none."""
        reply, task = pair
        try:
            answer = await complete(
                server, self._with_room(len(task.rubric)), request(reply, task), SCHEMA
            )
        except PASSING as error:
            self.usage.failed += 1
            return f"judge: {type(error).__name__} after {self.endpoint.tries} tries"
        self.usage.calls += 1
        self.usage.add(self.endpoint, answer.prompt_tokens, answer.completion_tokens)
        try:
            marks = read(answer.text, len(task.rubric))
        except (ValueError, KeyError, TypeError) as error:
            self.usage.failed += 1
            return f"judge: its answer does not follow the schema ({type(error).__name__})"
        self.cache.put(key, marks, answer.prompt_tokens, answer.completion_tokens)
        return marks
