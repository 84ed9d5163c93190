"""Adapter of torch's oneDNN internals: linear layers with laid-out weights, and bf16 products.

Each feature is tested at import. Without it the plain operation of torch is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional

FP32, BF16 = "fp32", "bf16"


def _has_ops() -> bool:
    ops = torch.ops.mkldnn
    return (
        torch.backends.mkldnn.is_available()
        and hasattr(ops, "_reorder_linear_weight")
        and hasattr(ops, "_linear_pointwise")
        and len(ops._linear_pointwise.default._schema.arguments) == 6
    )


LAYS_OUT = _has_ops()
"""Whether weights can be laid out once for many products."""
ROUNDS = hasattr(getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision")
"""Whether fp32 products can round their inputs to bf16."""


def linear(
    weight: torch.Tensor, bias: torch.Tensor | None, rows: int, precision: str
) -> Callable[[torch.Tensor], torch.Tensor]:
    """A linear layer of this weight [out, in], laid out for products with about `rows` rows. In
    bf16 its input and output are rounded. Without a layout it multiplies by the plain weight."""
    dtype = torch.bfloat16 if precision == BF16 else torch.float32
    own = weight.detach().to(dtype).contiguous()
    added = bias.detach().to(dtype) if bias is not None else None
    if not LAYS_OUT or (precision == BF16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return lambda x: functional.linear(x.to(dtype), own, added).to(x.dtype)
    laid_out = torch.ops.mkldnn._reorder_linear_weight(own, rows)

    def forward(x: torch.Tensor) -> torch.Tensor:
        y = torch.ops.mkldnn._linear_pointwise(x.to(dtype), laid_out, added, "none", [], "")
        return y.to(x.dtype)

    return forward


@contextlib.contextmanager
def products(precision: str) -> Iterator[None]:
    """Inside, with `precision` bf16 on a CPU, fp32 products round their inputs to bf16 and add up
    in fp32. What is stored stays fp32."""
    if precision != BF16 or not ROUNDS:
        yield
        return
    settings: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    settings.fp32_precision = BF16
    try:
        yield
    finally:
        settings.fp32_precision = before
