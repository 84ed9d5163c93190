"""What makes a result: the files of the package that answer, train and grade, and nothing else.

Keys and stamps hold digests of these lists. So an edit of the report retrains no arm, and an edit
of a grader never mixes its scores with older ones. A test compares the lists with what the engine
and the graders import.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from colorfast.config import Grading
from colorfast.io.storage import digest, file_sha256
from colorfast.rewards.semantic import rarity

PACKAGE = Path(__file__).parent.parent

ANSWERS = (
    "models/batching.py",
    "models/resolve.py",
    "models/kv_cache.py",
    "models/local.py",
    "models/onednn.py",
    "models/cpu_linear.py",
    "models/precision.py",
    "models/prompts.py",
    "models/sampling.py",
    "models/scoring.py",
)
"""How a model on this machine is loaded, sampled from and asked for log-likelihoods."""

TRAINS = (
    "corpus/constitutions/critique.md",
    "corpus/constitutions/revise.md",
    "training/engines/context_distillation.py",
    "training/engines/fused_logprobs.py",
    "training/engines/launch.py",
    "training/engines/prefix_packing.py",
    "training/engines/recorder.py",
    "training/engines/snapshots.py",
    "training/engines/trainers.py",
    "training/engines/trl.py",
    "training/engines/trl_adapter.py",
    "training/objectives.py",
    "models/vllm.py",
)
"""How slots become weights, beside how they are answered and graded. Tasks, scenarios and rubrics
stand in the slots themselves."""

GRADES = {
    "code": (
        "rewards/rubric.py",
        "rewards/select.py",
        "rewards/graders",
        "rewards/helpfulness.py",
        "rewards/helpfulness.toml",
        "rewards/stopwords.txt",
        "rewards/text.py",
    ),
    "offline": (
        "models/batching.py",
        "rewards/encoder.py",
        "rewards/semantic.json",
        "rewards/semantic.py",
    ),
    # where a judge rewards, an endpoint may also write the revisions that are trained on
    "judge": (
        "models/client.py",
        "rewards/judge.md",
        "rewards/judge.py",
        "rewards/judge_schema.json",
        "models/choices.py",
        "models/endpoint.py",
    ),
}
"""What each kind of grading is made of; a folder stands for all files in it. Code grades standard
tasks in every kind, and is half of the offline score."""


@cache
def _digest(names: frozenset[str], root: Path) -> str:
    paths: list[Path] = []
    for name in names:
        path = root / name
        paths += path.rglob("*") if path.is_dir() else [path]
    files = sorted(p for p in paths if p.is_file() and "__pycache__" not in p.parts)
    return digest([(file.relative_to(root).as_posix(), file_sha256(file)) for file in files])


def answering(root: Path = PACKAGE) -> str:
    """Digest of the code that answers, under the package's folder `root`."""
    return _digest(frozenset(ANSWERS), root)


def training(root: Path = PACKAGE) -> str:
    """Digest of the code that trains, without the graders."""
    return _digest(frozenset((*ANSWERS, *TRAINS)), root)


def grading(how: Grading, root: Path = PACKAGE) -> str:
    """Digest of what a kind of grading is made of. The offline one also depends on how rare each
    word is in the corpus."""
    code = _digest(frozenset((*GRADES["code"], *GRADES[how.kind])), root)
    return digest([code, rarity_digest(rarity())]) if how.kind == "offline" else code


def rarity_digest(rarity: Mapping[str, float]) -> str:
    """Digest of a table of word rarities (`semantic.rarity`, nats)."""
    return digest(sorted(rarity.items()))
