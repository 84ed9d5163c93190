"""What tests share: a tiny random model with a real tokenizer, and a small experiment on it."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
import torch

from colorfast.config import Experiment
from colorfast.corpus import scenarios
from colorfast.io.downloads import cache_dir, fetch, pinned
from colorfast.rewards import semantic
from colorfast.runs.experiment import run
from colorfast.types import ColorfastError
from helpers import small_files
from helpers.bag import Bag
from helpers.server import Behave, Server
from helpers.tiny import make_tiny_model, tiny_experiment

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
os.environ["OMP_NUM_THREADS"] = (
    "1"  # of the processes that tests start; as many tests as cores run beside each other
)
torch.set_num_threads(1)


FILES = ("COLORFAST_MIRROR", "COLORFAST_SOURCES", "COLORFAST_CACHE")
USERS = {name: os.environ[name] for name in FILES if os.environ.get(name)}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests read small files of our own; those marked `data` the real ones."""
    wanted = real_files() if item.get_closest_marker("data") else small_mirror()
    if {name: os.environ[name] for name in FILES if name in os.environ} != wanted:
        read_from(wanted)
        forget()


def pytest_collection_finish() -> None:
    """What is loaded by now stays, and no garbage collection looks at it again: PyTorch's libraries
    alone are a million objects, and every training collects several times."""
    scenarios.corpus()
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    for folder in MADE:
        shutil.rmtree(folder)


MADE: list[Path] = []


def folder(name: str) -> Path:
    """One that goes when the tests have run."""
    MADE.append(Path(tempfile.mkdtemp(prefix=name)))
    return MADE[-1]


@cache
def small_mirror() -> dict[str, str]:
    """The environment in which the small files are read, written once for all tests of a process.

    What tests write stays out of the user's cache; only the models there are used, since a
    download takes longer than the tests.
    """
    models, cache = cache_dir() / "models", folder("cache-")
    models.mkdir(parents=True, exist_ok=True)
    (cache / "models").symlink_to(models.absolute(), target_is_directory=True)
    return small_files.write(folder("small-files-")) | {"COLORFAST_CACHE": str(cache)}


@cache
def real_files() -> dict[str, str]:
    """The environment in which the real files are read: the user's. A mirror that lacks some is
    completed by downloads, elsewhere."""
    mirror = Path(USERS.get("COLORFAST_MIRROR", ""))
    if "COLORFAST_MIRROR" not in USERS or all(
        (mirror / s.repo / s.path).is_file() for s in pinned()
    ):
        return USERS
    read_from({})
    whole = folder("real-files-")
    for s in pinned():
        place, file = whole / s.repo / s.path, mirror / s.repo / s.path
        place.parent.mkdir(parents=True, exist_ok=True)
        with suppress(ColorfastError):  # the tests that read it will name it
            place.symlink_to(file if file.is_file() else fetch(s))
    return {"COLORFAST_MIRROR": str(whole)}


def read_from(environment: dict[str, str]) -> None:
    for name in FILES:
        os.environ.pop(name, None)
    os.environ.update(environment)


def forget() -> None:
    """Empty every cache of the package: what was read from other files must not be seen again."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "colorfast":
            for value in list(vars(module).values()):
                if callable(getattr(value, "cache_clear", None)):
                    value.cache_clear()


@pytest.fixture
def bag(monkeypatch: pytest.MonkeyPatch) -> Bag:
    """Texts are near each other when they share words."""
    stand_in = Bag()
    monkeypatch.setattr(semantic, "encoder", lambda: stand_in)
    return stand_in


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def tiny(tiny_model: Path) -> Experiment:
    return tiny_experiment(tiny_model)


@pytest.fixture(scope="session")
def tiny_run(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, finished; not to be changed."""
    return run(tiny_experiment(tiny_model), tmp_path_factory.mktemp("runs"))


@pytest.fixture(params=["small", pytest.param("real", marks=pytest.mark.data)])
def both_files(request: pytest.FixtureRequest) -> str:
    """A fact of the small files and, where a test may see them, of the real ones."""
    return str(request.param)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Behave], Server]]:
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    servers: list[Server] = []

    def start(behave: Behave) -> Server:
        servers.append(Server(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def small(tiny: Experiment) -> Experiment:
    """Two arms, two seeds, few scenarios."""
    arms = {name: tiny.arms[name] for name in ("baseline", "trait-25")}
    return tiny.model_copy(
        update={"arms": arms, "seeds": (0, 1), "traits": ("truthfulness",), "domains": ("health",)}
    )
