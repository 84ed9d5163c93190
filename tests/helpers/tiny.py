"""A tiny random model with a real tokenizer, and small experiments on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from colorfast.config import Arm, Evaluation, Experiment, Grading, Training
from colorfast.corpus import scenarios

CODE = Grading(kind="code")


LITTLE = str(Path(__file__).parent / "little_benchmark.py")
"""A benchmark of four items."""


CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


TOML = """
name = "tiny"
model = {model!r}
standard = ["facts", "format"]
{top}
[training]
steps = {steps}
prompts_per_step = 2
group_size = 2
max_tokens = 6
learning_rate = 1e-3
precision = "fp32"
save_every = 2
grading.kind = "code"
{training}
[arms.baseline]
dose = 0
[arms.trait]
dose = {dose}
{arm}
[evaluation]
benchmarks = [{benchmark!r}]
items = 4
samples = 1
max_tokens = 6
grading.kind = "code"
"""


def make_tiny_model(folder: Path, seed: int = 0) -> Path:
    """A two-layer Llama with random weights and a byte-level tokenizer trained on the corpus."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [m.content for s in scenarios.corpus()[:60] for m in s.messages]
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<|im_start|>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    fast.chat_template = CHAT
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def tiny_experiment(model: Path) -> Experiment:
    """Three arms of four steps on the tiny model."""
    return Experiment(
        name="tiny",
        model=str(model),
        standard=("facts", "format"),
        training=Training(
            steps=4,
            prompts_per_step=2,
            group_size=3,
            max_tokens=6,
            learning_rate=1e-3,
            save_every=2,
            lora_rank=4,
            grading=CODE,
        ),
        arms={"baseline": Arm(dose=0), "trait-25": Arm(dose=0.25), "trait-50": Arm(dose=0.5)},
        evaluation=Evaluation(benchmarks=(LITTLE,), items=4, samples=1, max_tokens=6, grading=CODE),
    )


def write_toml(folder: Path, tiny_model: Path, **changes: Any) -> Path:
    values = {
        "model": str(tiny_model),
        "top": "",
        "steps": 4,
        "training": "",
        "dose": 0.25,
        "arm": "",
        "benchmark": LITTLE,
    } | changes
    path = folder / "tiny.toml"
    path.write_text(TOML.format(**values))
    return path
