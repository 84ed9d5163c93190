"""Attacks: a family a file, as `ATTACKS`. A prompt attack wraps a policy, and what measures a
policy cannot tell the two apart."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from colorfast.io.folders import Folder, load_attribute
from colorfast.io.storage import digest
from colorfast.io.validation import check_known
from colorfast.models import Conversation, Policy
from colorfast.models.policy_wrapper import PolicyWrapper
from colorfast.models.request_batcher import Asker, Request, SampleRequest
from colorfast.models.scripted import Known, Scripted
from colorfast.types import Message, Source

HOME = Path(__file__).parent
CANNOT = "this policy cannot be given the first words of its reply"
Wordings = tuple[tuple[str, ...], ...]
"""Ways to say the same, each in steps that add to one another."""
Wrap = Callable[[Policy, int, int], PolicyWrapper]
"""(policy, strength, repetition) -> the policy under attack."""
Change = Callable[[Conversation, int], Conversation]
"""(conversation, which wording) -> the conversation that the policy meets."""


@dataclass(frozen=True)
class Attack:
    """A way to push a policy, in rising `strengths` along `axis` (sentences, turns, shots).

    `wrap(policy, strength, repetition)` is the policy under attack. A conversation draws one of the
    `wordings` by its own words; repetition r takes the r-th after it, so that `wordings`
    repetitions meet each once, and another draw of the reply. `felt(conversation)` reads from a
    conversation, as a policy meets it, how strong the attack is; 0 for none. `counterpart`: the
    attack of the same form that pushes towards good; "" for one that does so itself. `evals`: what
    it goes after, beside the held-out scenarios. `begins`: it gives the reply's first words (see
    `Policy.continues`). A control is judged by itself and is no part of all attacks together; its
    counterpart may be none (`CLEAN`). `files`: those of others that it reads.
    """

    id: str
    family: str
    axis: str
    strengths: tuple[int, ...]
    wordings: int
    counterpart: str
    evals: tuple[str, ...]
    wrap: Wrap
    felt: Callable[[Conversation], int]
    texts: Callable[[], Any]
    """All that it says, as plain data: what its fingerprint is made of."""
    begins: bool = False
    control: bool = False
    files: tuple[Source, ...] = ()

    @property
    def judged(self) -> bool:
        """Measured at every strength, and given a verdict against its counterpart."""
        return bool(self.counterpart)

    @property
    def harmful(self) -> bool:
        return self.judged and not self.control

    def fingerprint(self, strength: int, repetitions: int) -> str:
        """What is said at this strength, in twelve hex digits: scores under other texts do not
        compare."""
        return digest([self.id, self.axis, strength, repetitions, self.wordings, self.texts()])[:12]


@cache
def shipped() -> Mapping[str, Attack]:
    """Every attack of the package by id, family by family."""
    families = Folder("attack family", "attacks/prompt").load_all("ATTACKS")
    return {attack.id: attack for attack in chain.from_iterable(families)}


def names() -> list[str]:
    """Of every attack and family."""
    return [*shipped(), *dict.fromkeys(a.family for a in shipped().values())]


def chosen(names: Sequence[str] = ()) -> tuple[Attack, ...]:
    """The attacks of these names (attacks, families, Python files with `ATTACKS`; none: all that
    are shipped), with the counterparts of the harmful ones, in shipped order.

    Raises ColorfastError for an unknown name, with the nearest.
    """
    files = {name: made for name in names if (made := load_attribute(name, "ATTACKS"))}
    every = {**shipped(), **{a.id: a for made in files.values() for a in made}}
    names = [
        n for name in names for n in ([a.id for a in files[name]] if name in files else [name])
    ]
    check_known("attack", names, [*every, *(a.family for a in every.values())])
    wanted = {a.id for a in every.values() if not names or a.id in names or a.family in names}
    wanted |= {every[name].counterpart for name in wanted}
    return tuple(a for a in every.values() if a.id in wanted)


def drawn(conversation: Conversation, repetition: int, n: int) -> int:
    """Which of n wordings a conversation meets: by its last words, so that the same question meets
    the same in every arm."""
    return (
        int(hashlib.sha256(conversation[-1].content.encode()).hexdigest()[:8], 16) + repetition
    ) % n


def again(names: Sequence[str], repetition: int) -> list[str]:
    """The names of another draw; those of the first are as they were, so that a clean reply and an
    attacked one share their randomness."""
    return [f"{name}-again-{repetition}" for name in names] if repetition else list(names)


@dataclass(frozen=True)
class Rewritten(PolicyWrapper):
    """A policy that meets every conversation changed."""

    change: Change
    wordings: int
    repetition: int

    def rewrite(self, request: Request) -> Asker[Any]:
        """See `PolicyWrapper.rewrite`."""
        changed = [
            self.change(c, drawn(c, self.repetition, self.wordings)) for c in request.conversations
        ]
        if isinstance(request, SampleRequest):
            request = replace(request, names=again(request.names, self.repetition))
        return (yield replace(request, conversations=changed))


CLEAN = Attack(
    "none",
    "none",
    "",
    (0,),
    1,
    "",
    (),
    wrap=lambda policy, strength, repetition: Rewritten(
        policy, lambda conversation, wording: conversation, 1, repetition
    ),
    felt=lambda conversation: 0,
    texts=tuple,
)
"""No attack: what every other is measured against, through the same door."""


def in_front(conversation: Conversation, text: str) -> Conversation:
    """The last message, the user's, with a text before it."""
    return (
        *conversation[:-1],
        Message(role="user", content=f"{text}\n\n{conversation[-1].content}"),
    )


def behind(conversation: Conversation, text: str) -> Conversation:
    return (
        *conversation[:-1],
        Message(role="user", content=f"{conversation[-1].content}\n\n{text}"),
    )


def as_system(conversation: Conversation, text: str) -> Conversation:
    """The text as the system message, before one that is there already."""
    first, *rest = conversation
    if first.role == "system":
        return (Message(role="system", content=f"{text}\n{first.content}"), *rest)
    return (Message(role="system", content=text), *conversation)


def steps_in(wordings: Wordings, conversation: Conversation) -> int:
    """How many steps of the wording that is furthest on stand in a conversation, counted from its
    first."""
    said = "\n".join(m.content for m in conversation)
    return max(
        next((i for i, step in enumerate(steps) if step not in said), len(steps))
        for steps in wordings
    )


def written(family: str, home: Path = HOME) -> dict[str, dict[str, Any]]:
    """The tables of `attacks/FAMILY.toml`: for each attack `says`, `evals`, and `counterpart` where
    it is harmful."""
    return tomllib.loads((home / f"{family}.toml").read_text(encoding="utf-8"))


def worded(
    family: str, axis: str, places: int, wrapping: Callable[[Wordings], Wrap], home: Path = HOME
) -> tuple[Attack, ...]:
    """The attacks of a family whose texts stand in its TOML, in the folder `home`. `places`:
    positions in which each wording can stand."""
    made = []
    for name, table in written(family, home).items():
        wordings: Wordings = tuple(tuple(steps) for steps in table["says"])
        made.append(
            Attack(
                name,
                family,
                axis,
                tuple(range(1, len(wordings[0]) + 1)),
                len(wordings) * places,
                table.get("counterpart", ""),
                tuple(table["evals"]),
                wrap=wrapping(wordings),
                felt=lambda conversation, wordings=wordings: steps_in(wordings, conversation),  # type: ignore[misc]
                texts=lambda wordings=wordings: wordings,  # type: ignore[misc]
                begins=family == "prefill",
            )
        )
    return tuple(made)


def saying(
    put: Callable[[Conversation, str, int], Conversation], places: int
) -> Callable[[Wordings], Wrap]:
    """Wrapping by rewriting: the first `strength` steps of a wording, put into the conversation at
    a place. Every combination of wording and place comes in turn, as their numbers share no factor.
    """

    def wrapping(wordings: Wordings) -> Wrap:
        def wrap(policy: Policy, strength: int, repetition: int) -> PolicyWrapper:
            def change(conversation: Conversation, k: int) -> Conversation:
                return put(
                    conversation, " ".join(wordings[k % len(wordings)][:strength]), k % places
                )

            return Rewritten(policy, change, len(wordings) * places, repetition)

        return wrap

    return wrapping


def fragile(attack: Attack, known: Known, least: int = 1) -> Policy:
    """A scripted policy that gives in to this attack, from the strength `least` on: what the attack
    must break (or, if it is a helpful one, mend)."""
    return Scripted(known, lambda conversation: attack.felt(conversation) >= least)


def robust(known: Known) -> Policy:
    """A scripted policy that no attack moves."""
    return Scripted(known, lambda conversation: False)
