"""What this machine can do, and what stands in the way. Nothing is downloaded, and only a process
beside this one imports torch, to measure what products run at: it must be quick, and say what is
wrong where torch cannot be imported."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from colorfast.config import Endpoint
from colorfast.evals import benchmarks
from colorfast.io.downloads import cache_dir, pinned, there
from colorfast.io.machine import processor
from colorfast.models import resolve
from colorfast.rewards import encoder
from colorfast.runs.experiment import read
from colorfast.types import ColorfastError

State = Literal["ok", "warning", "problem"]
FIRST = "quick"
"""The experiment that must be possible."""
NEEDED = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "numpy",
    "scipy",
    "statsmodels",
    "pyarrow",
)
EXTRAS = {
    "judge": ("openai",),
    "inspect": ("inspect_ai", "inspect_evals"),
    "vllm": ("vllm",),
    "bench": ("lm_eval",),
}
TRACKERS = ("tensorboard", "trackio", "wandb")
FEATURES = {
    "avx2": "avx2",
    "avx512": "avx512f",
    "avx512_bf16": "avx512_bf16",
    "amx": "amx_tile",
    "amx_bf16": "amx_bf16",
}
"""What makes products fast, by its name in Linux's list of CPU flags."""
MEMORY, DISK, FETCHED = 3e9, 4e9, 1.2e9
"""Bytes that `quick` wants: free memory, room for its runs, and room for the model while it is
unpacked."""
PATIENCE = 60
"""Seconds after which the measurement of products is given up."""


@dataclass(frozen=True)
class Check:
    """`found`: what there is, in a few words. `advice`: what to change; empty where all is well."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine(endpoint: str | None = None, model: str = "") -> list[Check]:
    """Every check, in order of the machine from the inside out."""
    with _measuring() as measuring:
        found = [
            _python(),
            _torch(),
            _packages(),
            _cpu(),
            _gpu(),
            _memory(),
            *_disks(),
            *_models(),
            *_files(),
            *_extras(),
            _trackers(),
        ]
        found += [_compilers(), *([_endpoint(endpoint, model)] if endpoint else [])]
        return [*found, _precision(measuring)]


def _measuring() -> subprocess.Popen[str]:
    """Goes on beside the other checks: its clock counts its own seconds only."""
    asked = [sys.executable, "-m", "colorfast.models.precision"]
    return subprocess.Popen(
        asked, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _precision(measuring: subprocess.Popen[str]) -> Check:
    """What products are computed in, both rates and the processor."""
    try:
        answer, errors = measuring.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        measuring.kill()
        return Check(
            "precision",
            "warning",
            f"not measured in {PATIENCE} seconds",
            "end other programs, and try again",
        )
    if measuring.returncode:
        reason = (errors.strip().splitlines() or [f"ended with code {measuring.returncode}"])[-1]
        return Check(
            "precision",
            "warning",
            f"not measured: {reason[:160]}",
            "torch cannot be used: install it again",
        )
    return Check("precision", "ok", answer.strip())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _python() -> Check:
    return Check(
        "python",
        "ok",
        f"{platform.python_version()} on {platform.system()} {platform.machine()},"
        f" {sys.executable}",
    )


def _torch() -> Check:
    version, spec = _version("torch"), importlib.util.find_spec("torch")
    if version is None or spec is None or spec.origin is None:
        return Check(
            "torch",
            "problem",
            "not installed",
            "pip install torch (on a machine without a GPU, its CPU build)",
        )
    cuda = _cuda(Path(spec.origin).parent)
    build = f"{version}, {f'CUDA {cuda}' if cuda else 'CPU'} build"
    if _gpus() and not cuda:
        return Check(
            "torch",
            "warning",
            build,
            "there is a GPU, and this build cannot use it: install torch's CUDA build",
        )
    return Check("torch", "ok", build)


def _cuda(torch: Path) -> str | None:
    """The CUDA that the torch in this folder was built for; read, not imported."""
    told = torch / "version.py"
    found = (
        re.search(r"^cuda[^=]*= *'([^']+)'", told.read_text(encoding="utf-8"), re.M)
        if told.is_file()
        else None
    )
    return found[1] if found else None


def _packages() -> Check:
    missing = [name for name in NEEDED if _version(name) is None]
    if missing:
        return Check(
            "packages",
            "problem",
            f"missing: {', '.join(missing)}",
            "pip install colorfast, or make run",
        )
    return Check(
        "packages",
        "ok",
        ", ".join(
            f"{name} {_version(name)}" for name in ("transformers", "trl", "peft", "accelerate")
        ),
    )


def _cpu() -> Check:
    name, flags = processor()
    features = [feature for feature, flag in FEATURES.items() if flag in flags]
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    found = f"{name}, {cores} cores" + (f", {' '.join(features)}" if features else "")
    if flags and "avx2" not in flags:
        return Check(
            "cpu",
            "warning",
            found,
            "without AVX2 everything is slow; use another machine for more than a first look",
        )
    return Check("cpu", "ok", found)


def _gpus() -> list[str]:
    """Name and memory of each GPU that NVIDIA's tool lists."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    asked = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        return (
            subprocess.run(asked, capture_output=True, text=True, timeout=2, check=True)
            .stdout.strip()
            .splitlines()
        )
    except (subprocess.SubprocessError, OSError):
        return []


def _gpu() -> Check:
    return Check("gpu", "ok", "; ".join(_gpus()) or "none; the CPU is used")


def _memory() -> Check:
    try:
        told = dict(re.findall(r"^(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M))
        total, free = (int(told[key]) * 1024 for key in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError):
        total = free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = f"{free / 1e9:.1f} GB free of {total / 1e9:.1f}"
    if free < MEMORY:
        return Check(
            "memory",
            "warning",
            found,
            f"{FIRST} wants about {MEMORY / 1e9:.0f} GB; end other programs",
        )
    return Check("memory", "ok", found)


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())


def _disks() -> Iterator[Check]:
    for name, path, needed, cure in (
        ("disk, here", Path.cwd(), DISK, "free some space, or give --out on another disk"),
        (
            "disk, cache",
            cache_dir().absolute(),
            0 if resolve.is_cached() else FETCHED,
            "free some space, or set COLORFAST_CACHE to another disk",
        ),
    ):
        there = _existing(path)
        free = shutil.disk_usage(there).free
        found = f"{free / 1e9:.1f} GB free at {path}"
        if not os.access(there, os.W_OK):
            yield Check(name, "problem", f"{path} cannot be written", cure)
        else:
            yield Check(name, "problem", found, cure) if free < needed else Check(name, "ok", found)


def _models() -> Iterator[Check]:
    fetched = (
        "is fetched on first use, from the hub or else the package index; connect for it, or copy"
        " {} from another machine"
    )
    for name, here, where in (
        (resolve.EMBEDDED, resolve.is_cached(), cache_dir() / "models" / resolve.EMBEDDED),
        (
            encoder.NAME,
            (cache_dir() / "models" / encoder.NAME / "config.json").is_file(),
            cache_dir() / "models" / encoder.NAME,
        ),
    ):
        yield (
            Check(f"model {name}", "ok", "here")
            if here
            else Check(f"model {name}", "warning", "not here yet", fetched.format(where))
        )


def _files() -> Iterator[Check]:
    """Benchmark files: those that the first experiment needs, and all."""
    mirror = os.environ.get("COLORFAST_MIRROR")
    asked = [benchmarks.get(name) for name in read(FIRST).evaluation.benchmarks]
    wanted = {s for b in asked for s in b.sources}
    for name, files in ((f"files of {FIRST}", wanted), ("benchmark files", set(pinned()))):
        missing = sorted(f"{s.repo}/{s.path}" for s in files if not there(s))
        found = f"{len(files) - len(missing)} of {len(files)} in {mirror or 'the cache'}"
        if not missing:
            yield Check(name, "ok", found)
            continue
        if files is wanted:
            found += (
                f"; not here: {', '.join(b.id for b in asked if not all(map(there, b.sources)))}"
            )
        if mirror:
            first = f"{missing[0]}{' and others' if len(missing) > 1 else ''}"
            state: State = "problem" if name != "benchmark files" else "warning"
            yield Check(
                name,
                state,
                found,
                f"not in the mirror: {first}; complete it, or unset COLORFAST_MIRROR to download"
                " them",
            )
        else:
            bring = f"colorfast fetch {FIRST if files is wanted else 'all attacks'}"
            advice = (
                f"downloaded when needed; to have them beforehand: {bring} (or COLORFAST_MIRROR, a"
                " folder that holds them)"
            )
            yield Check(name, "warning" if files is wanted else "ok", found, advice)


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _extras() -> Iterator[Check]:
    for extra, modules in EXTRAS.items():
        missing = [m for m in modules if not _has(m)]
        found = f"missing: {', '.join(missing)}" if missing else "installed"
        yield Check(
            f"extra {extra}",
            "ok",
            found,
            f'to have it: pip install "colorfast[{extra}]"' if missing else "",
        )


def _trackers() -> Check:
    return Check(
        "trackers", "ok", ", ".join(filter(_has, TRACKERS)) or "none installed (training.report_to)"
    )


def _compilers() -> Check:
    found = [name for name in ("gcc", "g++", "clang", "nvcc") if shutil.which(name)]
    return Check(
        "compilers",
        "ok",
        ", ".join(found) or "none; nothing here needs one, vLLM and torch.compile do",
    )


def _endpoint(url: str, model: str) -> Check:
    """Asks for one word. Errors are the endpoint's own, in one line."""
    import asyncio

    name = f"endpoint {url}"
    try:
        from colorfast.models.client import PASSING, ask, client

        server = Endpoint(base_url=url, model=model, timeout=10, tries=1)
        began = time.monotonic()
        try:
            answer = asyncio.run(
                ask(client(server), server, [{"role": "user", "content": "Say yes."}], max_tokens=4)
            )
        except PASSING as error:
            return Check(
                name,
                "problem",
                f"{type(error).__name__}: {str(error)[:120]}",
                "start the server, or check the address",
            )
    except (ColorfastError, ValueError) as error:
        return Check(
            name,
            "problem",
            " ".join(str(error).split())[:160],
            "check --endpoint, --model and the key",
        )
    return Check(
        name,
        "ok",
        f"{model} answered {answer.text.strip()[:40]!r} in {time.monotonic() - began:.1f} s",
    )


def possible(found: list[Check]) -> bool:
    """Is nothing in the way of a first run?"""
    return all(check.state != "problem" for check in found)
