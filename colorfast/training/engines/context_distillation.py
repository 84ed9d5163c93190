"""Replies that are not made from the prompt they train: under a guide that is then taken away, or
by revising a draft."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from colorfast.config import Endpoint, Training
from colorfast.models import Conversation
from colorfast.models.local import LocalPolicy
from colorfast.training.objectives import asked, critique, drafts, is_revision, revision
from colorfast.types import Slot

Tokens = list[int]
Ask = Callable[[Sequence[Tokens], Sequence[str]], list[Tokens]]
"""Completions of prompts, each drawn from the stream of its name."""


@dataclass(frozen=True)
class Place:
    """A reply to be made: number `sample` of its slot's group, drawn from the stream `name`."""

    slot: Slot
    sample: int
    name: str

    @property
    def key(self) -> tuple[int, int]:
        return self.slot.index, self.sample


@dataclass(frozen=True)
class Made:
    """A reply, and what it took: the critique it answers, the tokens that the policy read and wrote
    beyond prompt and reply, and those that an endpoint wrote."""

    ids: Tokens
    critique: str = ""
    extra: int = 0
    bought: int = 0


def replies(
    policy: LocalPolicy, training: Training, places: Sequence[Place], ask: Ask
) -> list[Made]:
    """A reply for each place, in order. Of a slot whose drafts are revised all places must be
    there."""
    slots = {p.slot.index: p.slot for p in places}
    sources = {i: policy.encode(asked(slot.task, slot.objective)) for i, slot in slots.items()}
    late = [p for p in places if is_revision(p.slot.objective, p.sample, training.group_size)]
    first = [p for p in places if not is_revision(p.slot.objective, p.sample, training.group_size)]
    answered = ask([sources[p.slot.index] for p in first], [p.name for p in first])
    made = {
        p.key: Made(ids, extra=_guide_tokens(policy, p, sources))
        for p, ids in zip(first, answered, strict=True)
    }
    if late:
        of = drafts(training.group_size)
        told = [policy.reply(made[p.slot.index, p.sample - of].ids).text for p in late]
        made |= zip([p.key for p in late], _revised(policy, training, late, told, ask), strict=True)
    return [made[p.key] for p in places]


def _guide_tokens(policy: LocalPolicy, place: Place, sources: dict[int, Tokens]) -> int:
    """What the guide adds to the prompt, which is read once a group."""
    if place.slot.objective.name != "deliberative" or place.sample:
        return 0
    return len(sources[place.slot.index]) - len(policy.encode(place.slot.task.messages))


def _revised(
    policy: LocalPolicy, training: Training, places: Sequence[Place], told: Sequence[str], ask: Ask
) -> list[Made]:
    """Each draft held against its slot's principle, then written again; by the policy, or by the
    endpoint that rewards."""
    endpoint = training.grading.judge
    write = by_endpoint(policy, training, endpoint) if endpoint else by_policy(policy, ask)
    drafted = list(zip(places, told, strict=True))
    found = write(
        [critique(p.slot.task, p.slot.objective, text) for p, text in drafted],
        [f"critique-{p.name}" for p in places],
    )
    said = [policy.reply(m.ids).text for m in found]
    again = [
        revision(p.slot.task, p.slot.objective, text, c)
        for (p, text), c in zip(drafted, said, strict=True)
    ]
    made = write(again, [p.name for p in places])
    return [
        # the critique's own words are extra; the revision's are counted as the reply
        Made(m.ids, c, f.extra + m.extra + (0 if endpoint else len(f.ids)), f.bought + m.bought)
        for m, c, f in zip(made, said, found, strict=True)
    ]


def by_policy(
    policy: LocalPolicy, ask: Ask
) -> Callable[[Sequence[Conversation], Sequence[str]], list[Made]]:
    def write(conversations: Sequence[Conversation], names: Sequence[str]) -> list[Made]:
        prompts = [policy.encode(c) for c in conversations]
        return [
            Made(ids, extra=len(prompt))
            for prompt, ids in zip(prompts, ask(prompts, names), strict=True)
        ]

    return write


def by_endpoint(
    policy: LocalPolicy, training: Training, endpoint: Endpoint
) -> Callable[[Sequence[Conversation], Sequence[str]], list[Made]]:
    from colorfast.models.endpoint import EndpointPolicy  # its client is an optional extra

    def write(conversations: Sequence[Conversation], names: Sequence[str]) -> list[Made]:
        told = EndpointPolicy(endpoint).sample(
            conversations, names, training.max_tokens, training.temperature
        )
        ends = policy.tokenizer.eos_token_id
        ids = [
            policy.tokenizer(r.text, add_special_tokens=False)["input_ids"]
            + [ends] * (not r.truncated)
            for r in told
        ]
        return [
            Made(i[: training.max_tokens], bought=r.tokens) for i, r in zip(ids, told, strict=True)
        ]

    return write
