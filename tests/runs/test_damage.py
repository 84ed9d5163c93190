"""Files that were damaged since they were written are named in one line, set aside and made again
by the same command."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from colorfast.config import Experiment
from colorfast.evals import benchmarks
from colorfast.io import downloads
from colorfast.io.storage import (
    DamagedError,
    file_sha256,
    load_or_quarantine,
    read_json,
    write_json,
)
from colorfast.io.tables import ROLLOUTS, read_rows
from colorfast.models import resolve
from colorfast.rewards import encoder, judge
from colorfast.runs.experiment import run
from colorfast.runs.sweep import CellsFailedError
from colorfast.training.engines.recorder import Recorder
from colorfast.types import ColorfastError
from helpers.run_folders import results as outcome

Damage = Callable[[Path], None]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    """One bit, where the data are."""
    found = bytearray(path.read_bytes())
    found[len(found) // (20 if path.suffix == ".parquet" else 2)] ^= 4
    path.write_bytes(found)


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 9)


def named(said: str, *names: str) -> None:
    """Each is set aside in a line of its own."""
    lines = [line for line in said.splitlines() if line.startswith("set aside: ")]
    for name in names:
        assert any(name in line and ".broken" in line for line in lines), (name, said)


@pytest.fixture
def copy(tiny_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_run, tmp_path / "runs" / "tiny")


def test_damaged_weights_and_ledgers_are_trained_again_to_the_same(
    tiny: Experiment, tiny_run: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = [
        copy / cell / "checkpoint" / "model.safetensors" for cell in ("baseline-s0", "trait-25-s0")
    ]
    cut(weights[0])
    flip(weights[1])
    garbage(copy / "trait-50-s0" / "ledger.json")
    run(tiny, copy.parent)
    named(
        capsys.readouterr().err,
        "baseline-s0/checkpoint",
        "trait-25-s0/checkpoint",
        "trait-50-s0/ledger.json",
    )
    assert outcome(copy) == outcome(tiny_run)
    assert (copy / "trait-25-s0" / "checkpoint.broken" / "model.safetensors").is_file()


@pytest.mark.parametrize("damage", [cut, flip, garbage])
def test_damaged_tables_are_made_again(
    tiny: Experiment, tiny_run: Path, copy: Path, capsys: pytest.CaptureFixture[str], damage: Damage
) -> None:
    own = next((copy / "trait-25-s0" / "scores").glob("li*.parquet"))
    tables = [
        copy / "baseline-s0" / "scores.parquet",
        own,
        copy / "trait-25-s0" / "scores.parquet",
        copy / "start" / "scores.parquet",
    ]
    rollouts = copy / "trait-50-s0" / "rollouts" / "00000.parquet"
    for path in (*tables, rollouts):
        rows = read_rows(path)
        damage(path)
        with contextlib.suppress(DamagedError):
            assert read_rows(path) == rows  # a bit of what a reader passes over
            garbage(path)
    before = (copy / "trait-50-s0" / "ledger.json").stat().st_mtime_ns
    run(tiny, copy.parent)
    named(capsys.readouterr().err, *(str(p) for p in (*tables, rollouts)))
    assert outcome(copy) == outcome(tiny_run)
    assert (copy / "trait-50-s0" / "ledger.json").stat().st_mtime_ns == before
    assert rollouts.with_name("00000.parquet.broken").is_file() and not rollouts.exists()


def test_a_flipped_bit_in_a_table_is_found_or_changes_nothing(
    tiny_run: Path, tmp_path: Path
) -> None:
    whole, path = (
        tiny_run / "trait-50-s0" / "rollouts" / "00000.parquet",
        tmp_path / "table.parquet",
    )
    rows, draw, found = read_rows(whole), random.Random("flips"), 0
    for _ in range(150):
        text = bytearray(whole.read_bytes())
        text[draw.randrange(len(text))] ^= 1 << draw.randrange(8)
        path.write_bytes(text)
        try:
            assert read_rows(path, ROLLOUTS) == rows
        except DamagedError:
            found += 1
    assert found > 75


def test_a_damaged_run_json_is_made_again_where_the_cells_are_known_to_be_of_the_experiment(
    tiny: Experiment, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    was = read_json(copy / "run.json")
    cut(copy / "run.json")
    run(tiny, copy.parent)
    named(capsys.readouterr().err, "run.json")
    assert read_json(copy / "run.json") == was
    others: list[dict[str, object]] = [{"training": tiny.training.model_copy(update={"kl": 0.5})}]
    others.append({"evaluation": tiny.evaluation.model_copy(update={"items": 3})})
    for change in others:
        garbage(copy / "run.json")
        with pytest.raises(
            ColorfastError, match=r"training.kl: was 0.0, is now 0.5|asked or scored in another way"
        ):
            run(tiny.model_copy(update=change), copy.parent)
        with pytest.raises(
            ColorfastError, match=r"training.kl|another way"
        ):  # nor the second time, when it is gone
            run(tiny.model_copy(update=change), copy.parent)


def test_small_files_of_a_cell_are_made_again(tiny: Experiment, tiny_run: Path, copy: Path) -> None:
    for name in ("key.json", "schedule.json", "time.json", "failed.json"):
        (copy / "trait-25-s0" / name).write_text('["torn')
    (copy / "trait-25-s0" / "metrics.jsonl").write_text('{"step": 0}\n{"st')
    run(tiny, copy.parent)
    assert outcome(copy) == outcome(tiny_run)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "trainer_state.json"])
def test_a_damaged_training_checkpoint_is_not_gone_on_from(
    tiny: Experiment,
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    chosen = {"arms": {arm: tiny.arms[arm] for arm in ("baseline",)}}
    one = tiny.model_copy(
        update=chosen | {"training": tiny.training.model_copy(update={"save_every": 1})}
    )
    whole = Recorder.step

    def stops(self: Recorder, *args: object) -> None:
        if len(self.metrics) == 3:
            raise ColorfastError("stopped here")
        whole(self, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Recorder, "step", stops)
        with pytest.raises(CellsFailedError, match="stopped here"):
            run(one, tmp_path)
    last = tmp_path / "tiny" / "baseline-s0" / "training" / "checkpoint-3"
    flip(
        next(
            p
            for p in last.iterdir()
            if p.name == name or (name == "model.safetensors" and p.suffix == ".safetensors")
        )
    )
    if name == "trainer_state.json":  # nor from one that the record does not reach
        (last.parent.parent / "metrics.jsonl").write_text('{"step": 0, "sou')
    run(one, tmp_path)
    named(capsys.readouterr().err, "training/checkpoint-3")
    assert outcome(tmp_path / "tiny")["baseline-s0"] == outcome(tiny_run)["baseline-s0"]


def test_a_damaged_cache_of_verdicts_is_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "judge.sqlite"
    first = judge.Cache(path)
    for i in range(300):
        first.put(f"{i}" * 40, judge.Marks((1.0, 0.5), 10, 20))
    first.db.close()
    for damage in (
        garbage,
        lambda p: p.write_bytes(p.read_bytes()[:4096] + bytes(p.stat().st_size - 4096)),
    ):
        damage(path)
        again = judge.Cache(path)
        named(capsys.readouterr().err, "judge.sqlite")
        again.put("key", judge.Marks((1.0,), 1, 2))
        again.db.execute("INSERT INTO marks VALUES ('torn', '[1.0', 1, 2)")
        assert again.get("key") == ((1.0,), 1, 2) and again.get("torn") is None
        for i in range(300):
            again.put(f"{i}" * 40, judge.Marks((1.0, 0.5), 10, 20))
        again.db.close()
    with pytest.raises(ColorfastError, match="cannot be opened"):
        judge.Cache(tmp_path)  # a folder is not ours to set aside


@pytest.mark.parametrize("damage", [cut, flip])
@pytest.mark.parametrize("hashed", [True, False])
def test_a_damaged_model_in_the_cache_is_fetched_again(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: Damage,
    hashed: bool,
) -> None:
    def fetched(home: Path) -> Path:
        shutil.copytree(tiny_model, home)
        if hashed:  # as `_from_gguf` leaves it
            (home / resolve.HASH).write_text(resolve.weights_sha256(home))
        return home

    monkeypatch.setenv("COLORFAST_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(resolve, "_from_wheel", fetched)
    home = resolve.resolve(resolve.EMBEDDED)
    resolve.kept.cache_clear()
    damage(home / "model.safetensors")
    assert resolve.resolve(resolve.EMBEDDED) == home
    if hashed or damage is cut:  # without its hash, a flipped bit in a weight looks like a weight
        named(capsys.readouterr().err, resolve.EMBEDDED)
        assert resolve.weights_sha256(home) == resolve.weights_sha256(tiny_model)


def test_a_damaged_encoder_and_a_damaged_download_are_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fetch(home: Path) -> None:
        home.mkdir(parents=True)
        (home / "config.json").write_text("{}")
        (home / "model.safetensors").write_bytes(b"weights" * 50)

    monkeypatch.setenv("COLORFAST_CACHE", str(tmp_path))
    monkeypatch.setattr(encoder, "_fetch", fetch)
    fetch(tmp_path / "known")
    monkeypatch.setattr(encoder, "_SHA256", file_sha256(tmp_path / "known" / "model.safetensors"))
    weights = encoder.folder() / "model.safetensors"
    flip(weights)
    encoder.folder()
    named(capsys.readouterr().err, encoder.NAME)
    assert file_sha256(weights) == encoder._SHA256

    pinned = replace(
        benchmarks.get("corrigible-neutral-hhh").sources[0], sha256=file_sha256(weights)
    )
    monkeypatch.delenv("COLORFAST_MIRROR", raising=False)

    def download(source: object, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(weights, path)

    monkeypatch.setattr(downloads, "_download", download)
    cut(downloads.fetch(pinned))
    assert file_sha256(downloads.fetch(pinned)) == pinned.sha256
    named(capsys.readouterr().err, Path(pinned.path).name)


def test_what_is_set_aside_takes_the_place_of_what_was_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.json"
    for text in ("first", "second"):
        path.write_text(text)
        assert load_or_quarantine(path, read_json) is None
        assert path.with_name("file.json.broken").read_text() == text
    assert (
        load_or_quarantine(path, read_json) is None
        and capsys.readouterr().err.count("set aside") == 2
    )
    write_json(path, {"a": 1})
    assert load_or_quarantine(path, read_json) == {"a": 1} and json.loads(path.read_text()) == {
        "a": 1
    }
