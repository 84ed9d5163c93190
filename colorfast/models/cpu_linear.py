"""Linear layers with their weights packed once for many small products: what decoding on a CPU
spends its time on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import nn

from colorfast.models.precision import product


def packs(model: nn.Module) -> bool:
    """Can this model's weights be packed? (fp32 on a CPU, in a torch built with oneDNN)"""
    parameter = next(model.parameters())
    return (
        parameter.device.type == "cpu"
        and parameter.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
    )


@contextlib.contextmanager
def packed_linears(model: nn.Module, rows: int, precision: str = "fp32") -> Iterator[None]:
    """Inside, every linear layer multiplies by a copy of its weight laid out for products with
    about `rows` rows; in bf16, what goes in and comes out is rounded, and the rest of the model
    stays in fp32.

    Adapters are merged into the copy. No gradient passes through it, and a change of the weights is
    not seen until the next entry. Does nothing where `packs` says no, or inside itself: who asks a
    model many times packs it once around all of it.
    """
    swapped: list[nn.Module] = []
    if packs(model) and not any(
        "forward" in vars(m) for m in model.modules() if isinstance(m, LoraLayer | nn.Linear)
    ):
        inside = {
            id(child)
            for m in model.modules()
            if isinstance(m, LoraLayer)
            for child in m.modules()
            if child is not m
        }
        for module in model.modules():
            if isinstance(module, LoraLayer | nn.Linear) and id(module) not in inside:
                setattr(module, "forward", product(*_weights(module), rows, precision))  # noqa: B010 (shadows the class's method)
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
    return (
        base.weight + sum(module.get_delta_weight(name) for name in module.active_adapters),
        base.bias,
    )
