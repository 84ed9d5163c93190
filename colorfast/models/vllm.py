"""Rollouts by vLLM: every reply has a seed of its own, and every sampled token its
log-probability."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from colorfast.types import ColorfastError

MOST = 3.0
"""A reply that the trainer finds more than this many times as likely as the sampler did is left
out: TRL's default (`vllm_importance_sampling_mode = "sequence_mask"`,
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
    params = [
        SamplingParams(
            seed=seed(name),
            temperature=temperature,
            max_tokens=max_tokens,
            stop_token_ids=list(stops),
            logprobs=0,
        )
        for name in names
    ]
    tokens = [{"prompt_token_ids": list(ids)} for ids in prompts]
    completions: list[list[int]] = []
    logprobs: list[list[float]] = []
    for output in llm.generate(tokens, sampling_params=params, use_tqdm=False):
        reply = output.outputs[0]
        completions.append(list(reply.token_ids))
        steps = zip(reply.token_ids, reply.logprobs, strict=True)
        logprobs.append([tops[token].logprob for token, tops in steps])
    return completions, logprobs


def is_masked(trained: Logs, sampled: Logs) -> bool:
    """Whether TRL leaves a reply out: its importance ratio, the product over its tokens, is above
    MOST. As in TRL, a token without a log-probability (NaN) counts as equal."""
    differences = (t - s for t, s in zip(trained, sampled, strict=True))
    return sum(d for d in differences if not math.isnan(d)) > math.log(MOST)


def masked_share(
    sources: Sequence[str], trained: Sequence[Logs], sampled: Sequence[Logs]
) -> dict[str, float]:
    """For each source the share of its tokens in masked replies, in [0, 1]."""
    tokens: Counter[str] = Counter()
    masked: Counter[str] = Counter()
    for source, ours, theirs in zip(sources, trained, sampled, strict=True):
        tokens[source] += len(theirs)
        masked[source] += len(theirs) * is_masked(ours, theirs)
    return {source: masked[source] / (tokens[source] or 1) for source in sorted(tokens)}
