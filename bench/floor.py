"""An RL step against the arithmetic limit: the measured rate of matrix products, the FLOPs of the
step, and its time, in one run."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from output import save
from rich.console import Console
from rich.table import Table
from rl_step import SIZE, timed

from colorfast.models.local import load_policy


def rate(rows: int, inner: int, columns: int, seconds: float = 2.0) -> float:
    """FLOP/s of one fp32 product [rows, inner] x [inner, columns], repeated for this long."""
    a, b = torch.randn(rows, inner), torch.randn(columns, inner)
    torch.nn.functional.linear(a, b)
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        torch.nn.functional.linear(a, b)
        n += 1
    return 2.0 * rows * inner * columns * n / (time.perf_counter() - start)


def work(metrics: list[dict[str, Any]], matrices: int, head: int, live: float) -> float:
    """FLOPs of the products of one step: 2 a weight and token forward, 4 backward. Sampling runs
    each prompt once and every completion token; training runs the same tokens of the groups that
    teach (`live`, their share of all). The head meets completion tokens only."""
    flops = 0.0
    for source in metrics[-1]["sources"].values():
        prompt, reply = source["prompt_tokens"], source["completion_tokens"]
        forward = 2.0 * (matrices * (prompt + reply) + head * reply)
        flops += forward + 3.0 * forward * live
    return flops


def main() -> None:
    model = load_policy("SmolLM2-135M-Instruct").model
    config, head = model.config, model.get_output_embeddings().weight.numel()
    linears = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    matrices = sum(m.weight.numel() for m in linears) - head
    shapes = {
        "feed-forward, a training batch": (512, config.hidden_size, config.intermediate_size),
        "output layer, a training batch": (384, config.hidden_size, config.vocab_size),
        "feed-forward, one token of 48 replies": (48, config.hidden_size, config.intermediate_size),
        "large": (2048, 2048, 2048),
    }
    rates = {name: rate(*shape) for name, shape in shapes.items()}
    with tempfile.TemporaryDirectory() as folder:
        seconds, recorder = timed(True, Path(folder))
    sources = recorder.metrics[-1]["sources"].values()
    live = 1 - sum(s["dead_groups"] for s in sources) / SIZE["prompts_per_step"]
    flops = work(recorder.metrics, matrices, head, live)
    floor = flops / max(rates.values())
    lines = {f"product: {name}": f"{value / 1e9:.0f} GFLOP/s" for name, value in rates.items()}
    lines |= {
        "groups that teach": f"{live:.2f}",
        "work of the step": f"{flops / 1e12:.2f} TFLOP",
        "floor: at the best rate": f"{floor:.1f} s",
        "the step": f"{seconds:.1f} s",
        "step / floor": f"{seconds / floor:.2f}",
    }
    threads = torch.get_num_threads()
    table = Table(
        "measure", "value", title=f"The arithmetic of one RL step, {threads} threads, fp32"
    )
    for line in lines.items():
        table.add_row(*line)
    Console().print(table)
    results = {"rates": rates, "flops": flops, "floor": floor, "seconds": seconds}
    save("floor", results | {"ratio": seconds / floor, "live": live})


if __name__ == "__main__":
    sys.exit(main())
