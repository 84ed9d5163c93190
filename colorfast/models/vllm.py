"""Rollouts by vLLM: every reply from a stream of its own name, with the log-probability of each
token that was sampled."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from colorfast.types import ColorfastError

MOST = 3.0
"""A reply that the trainer finds more than so many times as likely as the sampler did teaches
nothing: TRL's default (`vllm_importance_sampling_mode = "sequence_mask"`,
`vllm_importance_sampling_clip_max`)."""
Logs = Sequence[float]


def seed(name: str) -> int:
    """vLLM's seed for the reply of this name: 63 bits, what its per-request seed can hold."""
    return random.Random(name).getrandbits(63)


def rollouts(
    llm: Any,
    prompts: Sequence[Sequence[int]],
    names: Sequence[str],
    max_tokens: int,
    temperature: float,
    stops: Sequence[int],
) -> tuple[list[list[int]], list[list[float]]]:
    """A completion for each prompt, ending with a stop token or at max_tokens, and the
    log-probability (in nats) of its every token.

    `llm` is a `vllm.LLM`, made with `logprobs_mode="processed_logprobs"` so that these are of the
    distribution at `temperature`. Same name, same seed; the same reply only where vLLM is
    batch-invariant too. Raises ColorfastError without vLLM.
    """
    try:
        from vllm import SamplingParams
    except ImportError:
        raise ColorfastError('vLLM is missing; pip install "colorfast[vllm]"') from None
    asked = [
        SamplingParams(
            seed=seed(name),
            temperature=temperature,
            max_tokens=max_tokens,
            stop_token_ids=list(stops),
            logprobs=0,
        )
        for name in names
    ]
    outputs = llm.generate(
        [{"prompt_token_ids": list(ids)} for ids in prompts], sampling_params=asked, use_tqdm=False
    )
    replies = [output.outputs[0] for output in outputs]
    logs = [
        [place[token].logprob for token, place in zip(reply.token_ids, reply.logprobs, strict=True)]
        for reply in replies
    ]
    return [list(reply.token_ids) for reply in replies], logs


def is_masked(trained: Logs, sampled: Logs) -> bool:
    """Whether TRL leaves a reply out: its importance ratio, the product over its tokens, is above
    MOST. A token without a log-probability (NaN) counts as equal, as there."""
    apart = (t - s for t, s in zip(trained, sampled, strict=True))
    return sum(d for d in apart if not math.isnan(d)) > math.log(MOST)


def masked_share(
    sources: Sequence[str], trained: Sequence[Logs], sampled: Sequence[Logs]
) -> dict[str, float]:
    """For each source the share of its tokens that stand in masked replies, in [0, 1]."""
    tokens: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for source, ours, theirs in zip(sources, trained, sampled, strict=True):
        tokens[source][is_masked(ours, theirs)] += len(theirs)
    return {
        source: masked / (kept + masked) if kept + masked else 0.0
        for source, (kept, masked) in sorted(tokens.items())
    }
