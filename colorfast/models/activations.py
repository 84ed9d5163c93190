"""What a causal LM holds inside while it reads a conversation and says a reply: its residual stream
at every layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from transformers import DynamicCache

from colorfast.models import Conversation
from colorfast.models.cpu_linear import packed_linears
from colorfast.models.local import PACKED_ROWS, LocalPolicy
from colorfast.models.prompts import BATCH_TOKENS, Tokens, batches, branch, left_padded

Activations = npt.NDArray[np.float32]
"""[pairs, layers, width]. Layers are counted as transformers counts hidden states: 0 the
embeddings, k what block k leaves, the last behind the final norm."""


@torch.no_grad()
def activations(
    policy: LocalPolicy, pairs: Sequence[tuple[Conversation, str]], advance: Callable[[int], None]
) -> tuple[Activations, Activations]:
    """At the last token of each pair's prompt, and the mean over the tokens of its reply (NaN for a
    reply without any).

    A prompt that several pairs share is computed once. Calls `advance` with the number of pairs
    that are done.
    """
    policy.model.eval()
    shared: dict[tuple[int, ...], list[int]] = {}
    for i, (conversation, _) in enumerate(pairs):
        shared.setdefault(tuple(policy.encode(conversation)), []).append(i)
    said = [policy.spoken(reply) if reply.strip() else [] for _, reply in pairs]
    asked = [(list(prompt), [said[i] for i in rows]) for prompt, rows in shared.items()]
    members = list(shared.values())
    last: dict[int, Activations] = {}
    means: dict[int, Activations] = {}
    with packed_linears(policy.model, PACKED_ROWS):
        for batch in batches([prompt for prompt, _ in asked], 0):
            cache, mask, at_end = _prompts(policy, [asked[i][0] for i in batch])
            flat = [(row, i) for row, prompt in enumerate(batch) for i in members[prompt]]
            last |= {i: at_end[row] for row, i in flat}
            for part in _parts([(row, i) for row, i in flat if said[i]], said):
                own = _replies(policy, branch(cache), mask, [(row, said[i]) for row, i in part])
                means |= {i: mean for (_, i), mean in zip(part, own, strict=True)}
            advance(len(flat))
    nothing = np.full_like(next(iter(last.values())), np.nan)
    return np.stack([last[i] for i in range(len(pairs))]), np.stack(
        [means.get(i, nothing) for i in range(len(pairs))]
    )


def _prompts(
    policy: LocalPolicy, prompts: Sequence[Tokens]
) -> tuple[DynamicCache, torch.Tensor, Activations]:
    """The cache of a batch of prompts, its mask, and the activations at each prompt's last
    token."""
    ids, mask = left_padded(prompts, policy.tokenizer.pad_token_id, policy.model.device)
    cache = DynamicCache(config=policy.model.config)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    out = policy.model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        cache=cache,
        logits_to_keep=1,
        output_hidden_states=True,
    )
    return cache, mask, torch.stack([h[:, -1] for h in out.hidden_states], 1).float().cpu().numpy()


def _parts(
    rows: Sequence[tuple[int, int]], said: Sequence[Tokens]
) -> Iterator[list[tuple[int, int]]]:
    """Replies of like length, about BATCH_TOKENS in each part."""
    part: list[tuple[int, int]] = []
    for row, i in sorted(rows, key=lambda at: len(said[at[1]])):
        if part and (len(part) + 1) * len(said[i]) > BATCH_TOKENS:
            yield part
            part = []
        part.append((row, i))
    if part:
        yield part


def _replies(
    policy: LocalPolicy,
    cache: DynamicCache,
    prompts: torch.Tensor,
    said: Sequence[tuple[int, Tokens]],
) -> Activations:
    """Mean activations over each reply's tokens, after the prompt in its row of the cache."""
    source = torch.tensor([row for row, _ in said], device=prompts.device)
    cache.batch_select_indices(source)
    before = prompts[source]
    longest = max(len(reply) for _, reply in said)
    pad = policy.tokenizer.pad_token_id
    ids = torch.tensor(
        [reply + [pad] * (longest - len(reply)) for _, reply in said], device=prompts.device
    )
    lengths = torch.tensor([len(reply) for _, reply in said], device=prompts.device)
    own = (torch.arange(longest, device=prompts.device) < lengths.unsqueeze(1)).to(before)
    out = policy.model(
        input_ids=ids,
        attention_mask=torch.cat([before, own], dim=1),
        position_ids=before.sum(-1, keepdim=True) + torch.arange(longest, device=prompts.device),
        cache=cache,
        logits_to_keep=1,
        output_hidden_states=True,
    )
    weights = own.float() / lengths.unsqueeze(1)
    return (
        torch.stack([torch.einsum("rt,rtw->rw", weights, h.float()) for h in out.hidden_states], 1)
        .cpu()
        .numpy()
    )
