"""Settings and callbacks that the GRPO and SFT engines share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import PartialState
from peft import LoraConfig
from transformers import TrainerCallback

from colorfast.config import Precision
from colorfast.models.local import LocalPolicy
from colorfast.models.precision import precision


def processes() -> PartialState:
    """This process among those that train together. Every call returns the same object; the first
    call joins the others."""
    return PartialState(cpu=not torch.cuda.is_available())


def settings(folder: Path, seed: int, setting: Precision) -> dict[str, Any]:
    """TRL's settings that do not depend on the engine. `folder` holds the checkpoints."""
    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(folder),
        "seed": seed,
        "bf16": gpu and precision(setting) == "bf16",
        "use_cpu": not gpu,
        "gradient_checkpointing": False,
        "save_total_limit": 2,
        "logging_steps": 1,
        "disable_tqdm": True,
    }


def lora(rank: int | None) -> LoraConfig | None:
    """LoRA of this rank on all linear layers; None trains all weights."""
    if not rank:
        return None
    return LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def keep_small_steps(policy: LocalPolicy, rank: int | None, setting: Precision) -> None:
    """Train in fp32 what is loaded in bf16 on a GPU, which would round small steps away."""
    if not rank or precision(setting) == "fp32":
        policy.model.float()


class Progress(TrainerCallback):
    """Advances the progress bar after every step."""

    def __init__(self, advance: Callable[[], None]):
        self.advance = advance

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """See `TrainerCallback`."""
        self.advance()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, transformers shows no bars and no notices."""
    level = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.utils.logging.set_verbosity(level)
