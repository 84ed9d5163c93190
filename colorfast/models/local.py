"""A model on this machine as a policy."""

from __future__ import annotations

import ctypes
import gc
import platform
import sys
from collections.abc import Iterator, Sequence
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
from colorfast.models.cpu_linear import packed_linears
from colorfast.models.resolve import PLAIN_TEMPLATE, reason, resolve
from colorfast.models.sampling import sample, uniforms
from colorfast.models.scoring import score
from colorfast.types import ColorfastError, Reply

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
HELD_TOKENS = 32_768
"""Tokens of prompts whose states are held while replies are decoded: 1.5 GB for the embedded model.
"""
PACKED_ROWS = 512
"""Tokens in one forward pass of a batch of questions, about."""


@dataclass(frozen=True)
class LocalPolicy:
    """A causal LM and its tokenizer. `batch_size` bounds how many rows decode together; without
    `chat` a conversation is its plain text and no template is put around it. `precision`: what
    linear layers round to; in bf16 an item's numbers depend, a little, on what else is in its
    batch."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    batch_size: int = 32
    chat: bool = True
    precision: str = "fp32"
    by_letter = False
    continues = True

    def encode(self, conversation: Conversation) -> list[int]:
        """Token ids of a conversation up to where the assistant speaks, or goes on with what it has
        begun to say."""
        if not self.chat:
            return list(self.tokenizer("\n".join(m.content for m in conversation))["input_ids"])
        messages, begun = (
            [m.model_dump() for m in conversation],
            conversation[-1].role == "assistant",
        )
        turn = {"continue_final_message": begun, "add_generation_prompt": not begun}
        return list(
            self.tokenizer.apply_chat_template(messages, return_dict=True, **turn)["input_ids"]
        )

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
        replies: dict[int, Reply] = {}
        with packed_linears(self.model, min(len(prompts), self.batch_size), self.precision):
            for batch in self._batches(prompts):
                draws = torch.tensor([uniforms(names[i], max_tokens) for i in batch])
                told = sample(
                    self.model,
                    [prompts[i] for i in batch],
                    draws,
                    temperature,
                    self.stops,
                    self.tokenizer.pad_token_id,
                )
                replies |= {i: self.reply(ids) for i, ids in zip(batch, told, strict=True)}
        return [replies[i] for i in range(len(prompts))]

    def _batches(self, prompts: Sequence[list[int]]) -> Iterator[list[int]]:
        """Indices of prompts of like length, equal ones side by side: as many as decode together,
        in as much memory as there is."""
        part: list[int] = []
        for i in sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), prompts[i])):
            if part and (
                len(part) == self.batch_size or (len(part) + 1) * len(prompts[i]) > HELD_TOKENS
            ):
                yield part
                part = []
            part.append(i)
        if part:
            yield part

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
        asked = [
            (self.encode(c), [self.spoken(choice) for choice in options])
            for c, options in zip(conversations, choices, strict=True)
        ]
        with packed_linears(self.model, PACKED_ROWS, self.precision):
            return score(self.model, asked, self.tokenizer.pad_token_id)


def give_back() -> None:
    """Return what is no longer used to the system: a trainer refers to itself, so its model stays
    until it is collected, and `_keep_memory` keeps the room it took."""
    gc.collect()
    if _is_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _is_glibc() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def _keep_memory() -> None:
    """Tell glibc to keep what it was given: by default it returns every large tensor to the system,
    and its pages must be made anew for the next one, which takes up to a third of the time on a
    CPU."""
    if _is_glibc():
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
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
    gpu = torch.cuda.is_available()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.bfloat16 if gpu else torch.float32, use_safetensors=True
        )
        policy = LocalPolicy(model.to("cuda" if gpu else "cpu"), load_tokenizer(folder), batch_size)
    except Exception as error:  # libraries fail on a broken file in any way they like
        raise ColorfastError(
            f"{folder}: cannot be loaded as a causal language model ({reason(error)})"
        ) from None
    return policy
