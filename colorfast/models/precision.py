"""The precision that products are computed in, fp32 or bf16, chosen by measuring both for a
fraction of a second."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import torch
from torch.nn import functional

from colorfast.config import Precision
from colorfast.io.machine import processor
from colorfast.io.storage import read_json
from colorfast.models.onednn import BF16, FP32, linear, products

MARGIN = 1.1
"""How many times faster bf16 must be, because it rounds what fp32 keeps."""
DECODED, TRAINED, SCORED = 48, 512, 1024
"""Rows of the products that a run spends its time on: a token of each reply of a step, a training
pass, a batch of questions."""
HIDDEN, INTERMEDIATE = (256, 576, 768), (512, 1536, 2048)
"""Smallest, default and largest size that is measured. The default is the embedded model's. A
smaller product takes no time; a larger one has the same rate and takes long to measure."""
ENOUGH, MOST = 0.01, 0.05
"""A product is repeated for `ENOUGH` CPU seconds, and once more within `MOST` seconds."""


@dataclass(frozen=True)
class Rates:
    """Speed of products on one core of a processor, in GFLOP/s, and the precision to compute in. A
    rate is None where it was not measured. `reason`: why not, or what else made the choice."""

    choice: str
    processor: str
    fp32: float | None = None
    bf16: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        parts = [self.reason] if self.reason else []
        if self.fp32 is not None and self.bf16 is not None:
            parts.insert(0, f"{self.fp32:.0f} GFLOP/s a core in fp32, {self.bf16:.0f} in bf16")
        return f"products in {self.choice}: {'; '.join(parts)} ({self.processor})"


def chosen(processor: str, fp32: float, bf16: float) -> Rates:
    """The choice that follows from two measured rates: fp32, unless bf16 is faster by MARGIN."""
    return Rates(BF16 if bf16 > MARGIN * fp32 else FP32, processor, fp32, bf16)


def rates(setting: Precision = "auto", model: Path | None = None) -> Rates:
    """Measured rates at the sizes of the model in this folder (default: the embedded model's), with
    the precision that the setting names or, for "auto", the faster one."""
    config = read_json(model / "config.json") if model else {}
    hidden = _size(config.get("hidden_size"), *HIDDEN)
    intermediate = _size(config.get("intermediate_size"), *INTERMEDIATE)
    measured = _measured(hidden, intermediate)
    if setting == "auto":
        return measured
    return replace(measured, choice=setting, reason="as the settings say")


def precision(setting: Precision) -> str:
    """fp32 or bf16: the setting, or for "auto" what `rates` chooses."""
    return rates().choice if setting == "auto" else setting


def _size(value: object, smallest: int, default: int, largest: int) -> int:
    size = value if isinstance(value, int) else default
    return min(max(size, smallest), largest)


@cache
def _measured(hidden: int, intermediate: int) -> Rates:
    if torch.cuda.is_available():
        choice = BF16 if torch.cuda.is_bf16_supported() else FP32
        reason = "not measured; a GPU computes in bf16 where it supports it"
        return Rates(choice, torch.cuda.get_device_name(), reason=reason)
    name = processor().name
    if not torch.backends.mkldnn.is_available():
        return Rates(FP32, name, reason="not measured; torch is built without oneDNN")
    with _one_thread():
        fp32, bf16 = (_rate(precision, hidden, intermediate) for precision in (FP32, BF16))
        return chosen(name, fp32, bf16)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Inside, torch computes in one thread. Several threads wait for each other by spinning, which
    the process's clock counts as work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _rate(precision: str, hidden: int, intermediate: int) -> float:
    """GFLOP/s of equal work in decoding, training and scoring."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(intermediate, hidden, generator=generator)
    inputs = {
        rows: torch.randn(rows, hidden, generator=generator) for rows in (DECODED, TRAINED, SCORED)
    }
    seconds = _seconds(partial(_train, weight, inputs[TRAINED], precision)) / (3 * TRAINED)
    for rows in (DECODED, SCORED):
        seconds += _seconds(partial(linear(weight, None, rows, precision), inputs[rows])) / rows
    return 2 * hidden * intermediate * 3 / seconds / 1e9


def _train(weight: torch.Tensor, x: torch.Tensor, precision: str) -> None:
    """Forward, and backward to the input and to the weight: three products."""
    leaves = [t.detach().requires_grad_() for t in (x, weight)]
    with products(precision):
        functional.linear(*leaves).sum().backward()


def _seconds(work: Callable[[], object]) -> float:
    """The least CPU time of a few tries of this process; other load on the machine does not count.
    The first try may compile."""
    tries: list[float] = []
    while sum(tries) < (MOST if len(tries) < 2 else ENOUGH):
        began = time.process_time()
        work()
        tries.append(time.process_time() - began)
    return min(tries)


if __name__ == "__main__":
    sys.stdout.write(str(rates()))
