"""Linear layers with their weights packed once for many small products: what decoding on a CPU spends its time on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import nn

from colorfast.settings import Precision


def packs(model: nn.Module) -> bool:
    """Can this model's weights be packed? (fp32 on a CPU, in a torch built with oneDNN)"""
    parameter = next(model.parameters())
    return parameter.device.type == "cpu" and parameter.dtype == torch.float32 and torch.backends.mkldnn.is_available()


def has_bf16_units() -> bool:
    """Does this CPU have matrix units for bf16 (AMX)? Without them bf16 gains nothing."""
    return bool(torch.cpu._is_amx_tile_supported())


def precision(wanted: Precision) -> str:
    """What products are computed in: "auto" is bf16 where the machine has units for it, fp32 elsewhere. Weights and sums are fp32."""
    if wanted != "auto":
        return wanted
    fast = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else has_bf16_units()
    return "bf16" if fast else "fp32"


@contextlib.contextmanager
def products(precision: str) -> Iterator[None]:
    """Inside, and on a CPU, fp32 products round what they multiply to bf16 where `precision` says so, and add up in fp32; what is
    stored stays fp32."""
    cpu: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = cpu.fp32_precision
    if precision == "bf16":
        cpu.fp32_precision = "bf16"
    try:
        yield
    finally:
        cpu.fp32_precision = before


@contextlib.contextmanager
def packed(model: nn.Module, rows: int, precision: str = "fp32") -> Iterator[None]:
    """Inside, every linear layer multiplies by a copy of its weight laid out for products with about `rows` rows; in bf16, what goes
    in and comes out is rounded, and the rest of the model stays in fp32.

    Adapters are merged into the copy. No gradient passes through it, and a change of the weights is not
    seen until the next entry. Does nothing where `packs` says no, or inside itself: who asks a model many times packs it once around
    all of it.
    """
    swapped: list[nn.Module] = []
    if packs(model) and not any("forward" in vars(m) for m in model.modules() if isinstance(m, LoraLayer | nn.Linear)):
        inside = {id(child) for m in model.modules() if isinstance(m, LoraLayer) for child in m.modules() if child is not m}
        for module in model.modules():
            if isinstance(module, LoraLayer | nn.Linear) and id(module) not in inside:
                setattr(module, "forward", _product(*_weights(module), rows, precision))  # noqa: B010 (shadows the class's method)
                swapped.append(module)
    try:
        yield
    finally:
        for module in swapped:
            del module.forward


@torch.no_grad()
def _weights(module: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(weight [out, in], bias) of a linear layer, with what its adapters add."""
    if not isinstance(module, LoraLayer):
        return module.weight, module.bias
    base = module.get_base_layer()
    return base.weight + sum(module.get_delta_weight(name) for name in module.active_adapters), base.bias


def _product(weight: torch.Tensor, bias: torch.Tensor | None, rows: int, precision: str) -> Callable[[torch.Tensor], torch.Tensor]:
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    copy = torch.ops.mkldnn._reorder_linear_weight(weight.detach().to(dtype).contiguous(), rows)
    added = bias.detach().to(dtype) if bias is not None else None

    def forward(x: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(x.to(dtype), copy, added, "none", [], "").to(x.dtype)

    return forward
