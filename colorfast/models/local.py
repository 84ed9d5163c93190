"""A model on this machine as a policy."""

from __future__ import annotations

import ctypes
import gc
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from colorfast.models import Conversation
from colorfast.models.batching import length_batches
from colorfast.models.cpu_linear import packed_linears
from colorfast.models.resolve import PLAIN_TEMPLATE, reason, resolve
from colorfast.models.sampling import sample, uniforms
from colorfast.models.scoring import score
from colorfast.types import ColorfastError, Reply

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""
PROMPT_TOKENS = 32_768
"""Tokens of prompts in one batch of replies: their states take 1.5 GB for the embedded model."""
PACKED_ROWS = 512
"""Tokens in one forward pass of a batch of questions, about."""


@dataclass(frozen=True)
class LocalPolicy:
    """A causal LM and its tokenizer. `batch_size`: most rows that decode together. `chat`: False
    gives a conversation as plain text without a template. `precision`: what linear layers round to;
    in bf16 an item's numbers depend slightly on its batch."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    batch_size: int = 32
    chat: bool = True
    precision: str = "fp32"
    by_letter = False
    continues = True

    def encode(self, conversation: Conversation) -> list[int]:
        """Token ids of a conversation up to where the assistant speaks, or continues its own last
        message."""
        if not self.chat:
            return list(self.tokenizer("\n".join(m.content for m in conversation))["input_ids"])
        continues = conversation[-1].role == "assistant"
        encoded = self.tokenizer.apply_chat_template(
            [m.model_dump() for m in conversation],
            return_dict=True,
            continue_final_message=continues,
            add_generation_prompt=not continues,
        )
        return list(encoded["input_ids"])

    def spoken(self, text: str) -> list[int]:
        """Token ids of a text as the assistant says it, after what `encode` gives."""
        gap = " " if not self.chat or self.tokenizer.chat_template == PLAIN_TEMPLATE else ""
        return list(self.tokenizer(gap + text.strip(), add_special_tokens=False)["input_ids"])

    @property
    def stops(self) -> list[int]:
        """Ids that end a reply: every end token that the model or its tokenizer names."""
        declared = self.model.generation_config.eos_token_id
        ids = declared if isinstance(declared, list) else [declared]
        return sorted({i for i in [*ids, self.tokenizer.eos_token_id] if i is not None})

    def sample(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str],
        max_tokens: int,
        temperature: float,
    ) -> list[Reply]:
        """See `Policy.sample`."""
        self.model.eval()
        prompts = [self.encode(c) for c in conversations]
        order = sorted(range(len(prompts)), key=prompts.__getitem__)  # equal prompts side by side
        lengths = [len(prompts[i]) for i in order]
        replies: dict[int, Reply] = {}
        with packed_linears(self.model, min(len(prompts), self.batch_size), self.precision):
            for part in length_batches(lengths, PROMPT_TOKENS, self.batch_size):
                batch = [order[k] for k in part]
                draws = torch.tensor([uniforms(names[i], max_tokens) for i in batch])
                rows = [prompts[i] for i in batch]
                completions = sample(self.model, rows, draws, temperature, self.stops)
                replies |= zip(batch, map(self.reply, completions), strict=True)
        return [replies[i] for i in range(len(prompts))]

    def reply(self, ids: Sequence[int]) -> Reply:
        """The reply that these completion ids spell."""
        return Reply(
            self.tokenizer.decode(ids, skip_special_tokens=True),
            truncated=not ids or ids[-1] not in self.stops,
            tokens=len(ids),
        )

    def logprobs(
        self, conversations: Sequence[Conversation], choices: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """See `Policy.logprobs`."""
        self.model.eval()
        questions = []
        for conversation, options in zip(conversations, choices, strict=True):
            questions.append((self.encode(conversation), [self.spoken(c) for c in options]))
        with packed_linears(self.model, PACKED_ROWS, self.precision):
            return score(self.model, questions)


def free_memory() -> None:
    """Return unused memory to the system. A trainer refers to itself, so its model stays until it
    is collected, and `_keep_memory` keeps what it used."""
    gc.collect()
    if libc := _glibc():
        libc.malloc_trim(0)


def _keep_memory() -> None:
    """Tell glibc to keep freed memory. By default it returns every large tensor to the system and
    then needs new pages for the next one, up to a third of the time on a CPU."""
    if libc := _glibc():
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)


def _glibc() -> ctypes.CDLL | None:
    is_glibc = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
    return ctypes.CDLL(None) if is_glibc else None


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder, with a padding token and a chat template."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN_TEMPLATE
    return tokenizer


def load_policy(name: str, batch_size: int = 32) -> LocalPolicy:
    """A policy from a model name (see `models.resolve`), in fp32 on a CPU and bf16 on a GPU.

    Raises ColorfastError when the model is missing or is not a causal LM that transformers knows.
    """
    folder = resolve(name)
    _keep_memory()
    device, dtype = (
        ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    )
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True)
        return LocalPolicy(model.to(device), load_tokenizer(folder), batch_size)
    except Exception as error:  # libraries raise anything on a broken file
        raise ColorfastError(
            f"{folder}: cannot be loaded as a causal language model ({reason(error)})"
        ) from None
