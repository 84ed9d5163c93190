"""Linear layers with weights laid out once for many small products, which is most of the time of
decoding on a CPU. Adapter of peft's layers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from peft.tuners import lora
from torch import nn

from colorfast.models import onednn

MERGES = hasattr(lora.LoraLayer, "get_base_layer") and hasattr(lora.Linear, "get_delta_weight")
"""Whether peft's layers tell what their adapters add to a weight."""


def can_pack(model: nn.Module) -> bool:
    """Whether the model's weights can be laid out: fp32 on a CPU, in a torch with oneDNN, and
    adapters that can be merged."""
    parameter = next(model.parameters())
    return (
        parameter.device.type == "cpu"
        and parameter.dtype == torch.float32
        and onednn.LAYS_OUT
        and (MERGES or not any(isinstance(m, lora.LoraLayer) for m in model.modules()))
    )


@contextlib.contextmanager
def packed_linears(model: nn.Module, rows: int, precision: str = onednn.FP32) -> Iterator[None]:
    """Inside, every linear layer multiplies by a copy of its weight that is laid out for products
    with about `rows` rows. In bf16 their inputs and outputs are rounded; the rest of the model
    stays in fp32.

    Adapters are merged into the copy. No gradient passes through it, and it does not see later
    changes of the weights. Nothing happens where `can_pack` says no, or inside another
    `packed_linears`.
    """
    layers = _linears(model) if can_pack(model) else []
    if any("forward" in vars(layer) for layer in layers):
        layers = []
    for layer in layers:
        forward = onednn.linear(*_weights(layer), rows, precision)
        setattr(layer, "forward", forward)  # noqa: B010 (shadows the class's method)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _linears(model: nn.Module) -> list[nn.Module]:
    """Linear layers; one with adapters counts as a whole, without the layers inside it."""
    adapted = [m for m in model.modules() if isinstance(m, lora.LoraLayer)]
    inside = {child for layer in adapted for child in list(layer.modules())[1:]}
    kinds = (lora.LoraLayer, nn.Linear)
    return [m for m in model.modules() if isinstance(m, kinds) and m not in inside]


@torch.no_grad()
def _weights(layer: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(weight [out, in], bias) of a linear layer, with what its adapters add."""
    if not isinstance(layer, lora.LoraLayer):
        return layer.weight, layer.bias
    base = layer.get_base_layer()
    added = sum(layer.get_delta_weight(name) for name in layer.active_adapters)
    return base.weight + added, base.bias
