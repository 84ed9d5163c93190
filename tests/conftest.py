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
import small_files
import torch
from scripted_server import Behave, Server
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from colorfast.config import Arm, Evaluation, Experiment, Grading, Training
from colorfast.corpus import scenarios
from colorfast.io.downloads import fetch, pinned
from colorfast.runs.experiment import run
from colorfast.types import ColorfastError

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
os.environ["OMP_NUM_THREADS"] = (
    "1"  # of the processes that tests start; as many tests as cores run beside each other
)
torch.set_num_threads(1)

CODE = Grading(kind="code")
LITTLE = str(Path(__file__).parent / "little_benchmark.py")
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

FILES = ("COLORFAST_MIRROR", "COLORFAST_SOURCES")
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
    """The environment in which the small files are read, written once for all tests of a
    process."""
    return small_files.write(folder("small-files-"))


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


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


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
            reward=CODE,
        ),
        arms={"baseline": Arm(dose=0), "trait-25": Arm(dose=0.25), "trait-50": Arm(dose=0.5)},
        evaluation=Evaluation(benchmarks=(LITTLE,), items=4, samples=1, max_tokens=6, grading=CODE),
    )


@pytest.fixture
def tiny(tiny_model: Path) -> Experiment:
    return tiny_experiment(tiny_model)


@pytest.fixture(scope="session")
def tiny_run(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, finished; not to be changed."""
    return run(tiny_experiment(tiny_model), tmp_path_factory.mktemp("runs"))


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
