"""What products are computed in, fp32 or bf16: by what each of them does on this machine in a
fraction of a second."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from colorfast.config import Precision
from colorfast.io.machine import processor
from colorfast.io.storage import read_json

MARGIN = 1.1
"""How much faster bf16 must be: it rounds what fp32 keeps."""
DECODED, TRAINED, SCORED = 48, 512, 1024
"""Rows of the products that a run spends its time on: a token of each reply of a step, a training
pass, a batch of questions."""
USUAL = (576, 1536)
"""Hidden and intermediate size of the embedded model."""
SMALLEST, LARGEST = (256, 512), (768, 2048)
"""Sizes that are measured: below, a product takes no time; above, its rate is the same and the
measurement takes long."""
ENOUGH, MOST = 0.01, 0.05
"""CPU seconds for which a product is tried again: at least, and with less than two tries."""
FP32, BF16 = "fp32", "bf16"
Product = Callable[[], object]


@dataclass(frozen=True)
class Rates:
    """What products run at on one core of a processor, in GFLOP/s, and the precision that they are
    computed in. A rate is None where none was measured; `reason`: why it was not, or what else than
    the rates made the choice."""

    choice: str
    processor: str
    fp32: float | None = None
    bf16: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        rates = (
            ""
            if self.fp32 is None or self.bf16 is None
            else f"{self.fp32:.0f} GFLOP/s a core in fp32, {self.bf16:.0f} in bf16"
        )
        return (
            f"products in {self.choice}: {'; '.join(filter(None, (rates, self.reason)))}"
            f" ({self.processor})"
        )


def chosen(processor: str, fp32: float, bf16: float) -> Rates:
    """The choice that follows from two measured rates: fp32, unless bf16 is faster by MARGIN."""
    return Rates(BF16 if bf16 > MARGIN * fp32 else FP32, processor, fp32, bf16)


def rates(wanted: Precision = "auto", model: Path | None = None) -> Rates:
    """What to compute in, by measurement at the sizes of the model in this folder (without one, the
    embedded model's); what is `wanted` by name is taken, and measured all the same."""
    measured = _measured(*_sizes(model))
    return (
        measured
        if wanted == "auto"
        else replace(measured, choice=wanted, reason="as the settings say")
    )


def precision(wanted: Precision) -> str:
    """fp32 or bf16: what is wanted, or for "auto" what `rates` chooses. A run asks once and names
    what it chose from then on."""
    return rates().choice if wanted == "auto" else wanted


def _sizes(model: Path | None) -> tuple[int, int]:
    """Hidden and intermediate size, within what is measured."""
    config = read_json(model / "config.json") if model else {}
    told = (config.get("hidden_size"), config.get("intermediate_size"))
    sizes = [
        size if isinstance(size, int) else usual for size, usual in zip(told, USUAL, strict=True)
    ]
    hidden, between = (
        min(max(size, low), high) for size, low, high in zip(sizes, SMALLEST, LARGEST, strict=True)
    )
    return hidden, between


@cache
def _measured(hidden: int, between: int) -> Rates:
    if torch.cuda.is_available():
        choice = BF16 if torch.cuda.is_bf16_supported() else FP32
        return Rates(
            choice,
            torch.cuda.get_device_name(),
            reason="not measured; a GPU computes in bf16 where it supports it",
        )
    name = processor().name
    if not torch.backends.mkldnn.is_available():
        return Rates(FP32, name, reason="not measured; torch is built without oneDNN")
    with _one_thread():
        return chosen(name, *(_rate(precision, hidden, between) for precision in (FP32, BF16)))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Inside, torch computes in one thread. Several would wait for each other by spinning, and the
    process's clock counts that as work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _rate(precision: str, hidden: int, between: int) -> float:
    """GFLOP/s of equal work in decoding, training and scoring."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(between, hidden, generator=generator)
    made = {
        rows: torch.randn(rows, hidden, generator=generator) for rows in (DECODED, TRAINED, SCORED)
    }
    seconds = [
        _seconds(partial(product(weight, None, rows, precision), made[rows])) / rows
        for rows in (DECODED, SCORED)
    ]
    seconds.append(_seconds(partial(_trained, weight, made[TRAINED], precision)) / (3 * TRAINED))
    return 2 * hidden * between * len(seconds) / sum(seconds) / 1e9


def _trained(weight: torch.Tensor, x: torch.Tensor, precision: str) -> None:
    """Forward, and backward to what came in and to the weight: three products."""
    leaves = [t.detach().requires_grad_() for t in (x, weight)]
    with products(precision):
        functional.linear(*leaves).sum().backward()


def _seconds(work: Product) -> float:
    """The least time of a few tries, by the clock of this process: what else runs on the machine
    does not count. The first try may compile."""
    tries: list[float] = []
    while sum(tries) < (MOST if len(tries) < 2 else ENOUGH):
        began = time.process_time()
        work()
        tries.append(time.process_time() - began)
    return min(tries)


@contextlib.contextmanager
def products(precision: str) -> Iterator[None]:
    """Inside, and on a CPU, fp32 products round what they multiply to bf16 where `precision` says
    so, and add up in fp32; what is stored stays fp32."""
    cpu: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = cpu.fp32_precision
    if precision == BF16:
        cpu.fp32_precision = BF16
    try:
        yield
    finally:
        cpu.fp32_precision = before


def product(
    weight: torch.Tensor, bias: torch.Tensor | None, rows: int, precision: str
) -> Callable[[torch.Tensor], torch.Tensor]:
    """A linear layer of this weight [out, in], laid out for products with about `rows` rows; in
    bf16, what goes in and comes out is rounded. A CPU that has no layout for bf16 takes the weight
    as it is."""
    dtype = torch.bfloat16 if precision == BF16 else torch.float32
    own = weight.detach().to(dtype).contiguous()
    added = bias.detach().to(dtype) if bias is not None else None
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return lambda x: functional.linear(x.to(dtype), own, added).to(x.dtype)
    copy = torch.ops.mkldnn._reorder_linear_weight(own, rows)

    def forward(x: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(x.to(dtype), copy, added, "none", [], "").to(
            x.dtype
        )

    return forward


if __name__ == "__main__":
    sys.stdout.write(str(rates()))
