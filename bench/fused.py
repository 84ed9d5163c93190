"""Does a compiler pay? One RL step as it is, against one whose norms, gates and rotations
`torch.compile` has fused."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from rl_step import compared, save_with_threads, timed
from torch.nn.functional import silu
from transformers.models.llama import modeling_llama as llama

ROUNDS = 2
LEAST = 256 * 576
"""Numbers in a tensor from which the fused path is taken: decoding's small ones are slower
compiled."""


@contextlib.contextmanager
def fused() -> Iterator[None]:
    """Inside, the element-wise work of Llama's long passes is compiled."""
    norm, gated, rotate = (
        llama.LlamaRMSNorm.forward,
        llama.LlamaMLP.forward,
        llama.apply_rotary_pos_emb,
    )
    scaled = torch.compile(
        lambda x, weight, eps: weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)),
        dynamic=True,
    )
    gate, turned = (
        torch.compile(lambda g, u: silu(g) * u, dynamic=True),
        torch.compile(rotate, dynamic=True),
    )

    def norm_forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        return norm(self, x) if x.numel() < LEAST else scaled(x, self.weight, self.variance_epsilon)

    def gated_forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        return (
            gated(self, x)
            if x.numel() < LEAST
            else self.down_proj(gate(self.gate_proj(x), self.up_proj(x)))
        )

    def rotated(q: torch.Tensor, *rest: Any, **more: Any) -> Any:
        return rotate(q, *rest, **more) if q.numel() < LEAST else turned(q, *rest, **more)

    with (
        mock.patch.object(llama.LlamaRMSNorm, "forward", norm_forward),
        mock.patch.object(llama.LlamaMLP, "forward", gated_forward),
        mock.patch.object(llama, "apply_rotary_pos_emb", rotated),
    ):
        yield


def main() -> None:
    times: dict[str, list[float]] = {"as it is": [], "fused": []}
    for _ in range(1 + ROUNDS):  # the first compiles
        for name, seconds in times.items():
            with (
                tempfile.TemporaryDirectory() as folder,
                fused() if name == "fused" else contextlib.nullcontext(),
            ):
                seconds.append(timed(True, Path(folder))[0])
    steady = {name: seconds[1:] for name, seconds in times.items()}
    save_with_threads(
        "fused", {"seconds": times, "ratio": compared("element-wise work", steady, "fp32")}
    )


if __name__ == "__main__":
    sys.exit(main())
