"""Replies that are sampled from another prompt than the one they train: after a guide that training
does not show (context distillation), or as the revision of a draft."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from colorfast.config import Endpoint, Training
from colorfast.models import Conversation
from colorfast.models.local import LocalPolicy
from colorfast.training.objectives import critique, drafts, is_revision, prompt_messages, revision
from colorfast.types import Slot

Tokens = list[int]
Complete = Callable[[Sequence[Tokens], Sequence[str]], list[Tokens]]
"""Completions of prompts, each drawn from the random stream of its name."""


@dataclass(frozen=True)
class PlannedReply:
    """A reply to sample: number `sample` of its slot's group, drawn from the stream `name`."""

    slot: Slot
    sample: int
    name: str


@dataclass(frozen=True)
class SampledReply:
    """A reply, the critique that it answers, and its cost: tokens that the policy read and wrote
    beyond prompt and reply, and tokens that an endpoint wrote."""

    ids: Tokens
    critique: str = ""
    extra_tokens: int = 0
    endpoint_tokens: int = 0


Write = Callable[[Sequence[Conversation], Sequence[str]], list[SampledReply]]


def replies(
    policy: LocalPolicy, training: Training, planned: Sequence[PlannedReply], complete: Complete
) -> list[SampledReply]:
    """A reply for each planned one, in order. Slots with revisions must be there as whole
    groups."""
    prompts: dict[int, Tokens] = {}
    guide_tokens: dict[int, int] = {}
    for slot in {p.slot.index: p.slot for p in planned}.values():
        prompt = policy.encode(prompt_messages(slot.task, slot.objective))
        prompts[slot.index] = prompt
        guide_tokens[slot.index] = len(prompt) - len(policy.encode(slot.task.messages))
    first: list[PlannedReply] = []
    revised: list[PlannedReply] = []
    for p in planned:
        late = is_revision(p.slot.objective, p.sample, training.group_size)
        (revised if late else first).append(p)
    completions = complete([prompts[p.slot.index] for p in first], [p.name for p in first])
    sampled: dict[str, SampledReply] = {}
    for p, ids in zip(first, completions, strict=True):
        extra = 0 if p.sample else guide_tokens[p.slot.index]  # read once a group
        sampled[p.name] = SampledReply(ids, extra_tokens=extra)
    if revised:
        by_place = {(p.slot.index, p.sample): sampled[p.name].ids for p in first}
        offset = drafts(training.group_size)
        texts = [policy.reply(by_place[p.slot.index, p.sample - offset]).text for p in revised]
        endpoint = training.grading.judge
        write = by_endpoint(policy, training, endpoint) if endpoint else by_policy(policy, complete)
        made = _revisions(policy, revised, texts, write)
        sampled |= zip([p.name for p in revised], made, strict=True)
    return [sampled[p.name] for p in planned]


def _revisions(
    policy: LocalPolicy, planned: Sequence[PlannedReply], texts: Sequence[str], write: Write
) -> list[SampledReply]:
    """Each draft in `texts` criticized by its slot's principle, then written again."""
    critiques = write(
        [critique(p.slot.task, p.slot.objective, t) for p, t in zip(planned, texts, strict=True)],
        [f"critique-{p.name}" for p in planned],
    )
    conversations = []
    criticisms = [policy.reply(c.ids).text for c in critiques]
    for p, text, criticism in zip(planned, texts, criticisms, strict=True):
        conversations.append(revision(p.slot.task, p.slot.objective, text, criticism))
    made = []
    revisions = write(conversations, [p.name for p in planned])
    for reply, first, criticism in zip(revisions, critiques, criticisms, strict=True):
        # the critique's own tokens are extra, unless an endpoint read the prompt and wrote them
        written = len(first.ids) if first.extra_tokens else 0
        made.append(
            replace(
                reply,
                critique=criticism,
                extra_tokens=first.extra_tokens + reply.extra_tokens + written,
                endpoint_tokens=first.endpoint_tokens + reply.endpoint_tokens,
            )
        )
    return made


def by_policy(policy: LocalPolicy, complete: Complete) -> Write:
    """The policy writes."""

    def write(conversations: Sequence[Conversation], names: Sequence[str]) -> list[SampledReply]:
        prompts = [policy.encode(c) for c in conversations]
        completions = complete(prompts, names)
        return [
            SampledReply(ids, extra_tokens=len(prompt))
            for prompt, ids in zip(prompts, completions, strict=True)
        ]

    return write


def by_endpoint(policy: LocalPolicy, training: Training, endpoint: Endpoint) -> Write:
    """The endpoint that rewards writes."""
    from colorfast.models.endpoint import EndpointPolicy  # its client is an optional extra

    def write(conversations: Sequence[Conversation], names: Sequence[str]) -> list[SampledReply]:
        written = EndpointPolicy(endpoint).sample(
            conversations, names, training.max_tokens, training.temperature
        )
        made = []
        for reply in written:
            ids = policy.tokenizer(reply.text, add_special_tokens=False)["input_ids"]
            if not reply.truncated:
                ids = [*ids, policy.tokenizer.eos_token_id]
            made.append(SampledReply(ids[: training.max_tokens], endpoint_tokens=reply.tokens))
        return made

    return write
