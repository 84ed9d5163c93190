"""Several askers of one policy side by side: what they ask at the same time is answered in one
batch, which is what decoding costs."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from colorfast.models import Conversation, Policy
from colorfast.models.around import Around
from colorfast.types import Reply

T = TypeVar("T")


@dataclass(eq=False)
class _Ask:
    """What one asker waits for: replies when `names` are given, else log-likelihoods of
    `choices`."""

    asker: int
    conversations: Sequence[Conversation]
    names: Sequence[str] = ()
    how: tuple[int, float] = (0, 0.0)
    choices: Sequence[Sequence[str]] | None = None
    answer: object = None


class _Desk:
    """Askers wait here until all who are still at work have asked; then the thread that serves
    answers them together. Whoever holds `turn` runs: one asker at a time, and none while answers
    are made."""

    def __init__(self, policy: Policy, askers: int):
        self.policy, self.live = policy, askers
        self.waiting: list[_Ask] = []
        self.closed: BaseException | None = None
        self.turn = threading.Condition()

    def ask(self, ask: _Ask) -> object:
        self.waiting.append(ask)
        self.turn.notify_all()
        self.turn.wait_for(lambda: ask.answer is not None or self.closed is not None)
        if ask.answer is None:
            raise RuntimeError("the policy failed") from self.closed
        return ask.answer

    def leave(self) -> None:
        self.live -= 1
        self.turn.notify_all()

    def serve(self) -> None:
        """Until every asker has left. Whatever goes wrong here, a keyboard interrupt too, leaves
        nobody waiting."""
        try:
            while True:
                with self.turn:
                    self.turn.wait_for(lambda: len(self.waiting) == self.live)
                    asked, self.waiting = sorted(self.waiting, key=lambda a: a.asker), []
                if not asked:
                    return
                self._answer(asked)
                with self.turn:
                    self.turn.notify_all()
        except BaseException as error:
            with self.turn:
                self.closed = error
                self.turn.notify_all()
            raise

    def _answer(self, asked: Sequence[_Ask]) -> None:
        alike: dict[tuple[int, float], list[_Ask]] = defaultdict(list)
        for ask in asked:
            if ask.choices is None:
                alike[ask.how].append(ask)
            else:  # one asker's prompts share a beginning, which is computed once
                ask.answer = self.policy.logprobs(ask.conversations, ask.choices)
        for (max_tokens, temperature), asks in alike.items():
            rows = [
                (c, name)
                for ask in asks
                for c, name in zip(ask.conversations, ask.names, strict=True)
            ]
            replies = iter(
                self.policy.sample(
                    [c for c, _ in rows], [name for _, name in rows], max_tokens, temperature
                )
            )
            for ask in asks:
                ask.answer = [next(replies) for _ in ask.conversations]


@dataclass(frozen=True)
class _Asker(Around):
    """The policy as one asker sees it."""

    desk: _Desk
    number: int

    def sample(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str],
        max_tokens: int,
        temperature: float,
    ) -> list[Reply]:
        """See `Policy.sample`."""
        return self.desk.ask(_Ask(self.number, conversations, names, (max_tokens, temperature)))  # type: ignore[return-value]

    def logprobs(
        self, conversations: Sequence[Conversation], choices: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """See `Policy.logprobs`."""
        return self.desk.ask(_Ask(self.number, conversations, choices=choices))  # type: ignore[return-value]


def together(policy: Policy, jobs: Sequence[Callable[[Policy], T]]) -> list[T]:
    """What each job makes of the policy, in order. Raises what the policy raised, or the first job
    to fail.

    A job runs until it asks, then the next one does; when all have asked, they are answered in this
    thread. So no batch depends on the clock, and nothing runs at the same time as anything else.
    """
    desk = _Desk(policy, len(jobs))

    def one(number: int) -> T:
        with desk.turn:
            try:
                return jobs[number](_Asker(policy, desk, number))
            finally:
                desk.leave()

    with ThreadPoolExecutor(max(1, len(jobs))) as pool:
        made = [pool.submit(one, number) for number in range(len(jobs))]
        desk.serve()
    return [m.result() for m in made]
