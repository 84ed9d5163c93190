"""What products are computed in follows from what was measured, once a run; everything that belongs
to the run keeps to it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from colorfast.attacks.plan import Options, for_run
from colorfast.attacks.run import run as run_attacks
from colorfast.config import Experiment
from colorfast.io.machine import processor
from colorfast.io.storage import read_json, write_json
from colorfast.models import onednn
from colorfast.models.precision import chosen, rates
from colorfast.runs import experiment
from colorfast.runs.folder import in_run_precision
from colorfast.types import ColorfastError
from helpers.attacked import tiny_attack_plan
from helpers.command import colorfast
from helpers.tiny import write_toml

OTHER = {"fp32": "bf16", "bf16": "fp32"}
on_a_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU nothing is measured")


@pytest.mark.parametrize(
    ("fp32", "bf16", "choice"),
    [(86, 15, "fp32"), (100, 105, "fp32"), (100, 111, "bf16"), (100, 240, "bf16")],
)
def test_bf16_is_chosen_where_it_is_clearly_faster(fp32: float, bf16: float, choice: str) -> None:
    found = chosen("Some CPU", fp32, bf16)
    assert (found.choice, found.fp32, found.bf16, found.processor) == (
        choice,
        fp32,
        bf16,
        "Some CPU",
    )
    assert (
        str(found)
        == f"products in {choice}: {fp32} GFLOP/s a core in fp32, {bf16} in bf16 (Some CPU)"
    )


@on_a_cpu
def test_both_rates_are_measured_whatever_is_wanted(tiny_model: Path) -> None:
    found = rates("auto", tiny_model)
    assert found.fp32
    assert found.bf16
    assert found == chosen(processor().name, found.fp32, found.bf16)
    assert replace(found, choice="bf16", reason="as the settings say") == rates("bf16", tiny_model)


@pytest.mark.parametrize("bias", [None, torch.ones(24)])
def test_a_product_in_either_precision_is_that_of_a_linear_layer(bias: torch.Tensor | None) -> None:
    x, weight = (torch.randn(n, 16, generator=torch.Generator().manual_seed(n)) for n in (8, 24))
    wanted = torch.nn.functional.linear(x, weight, bias)
    torch.testing.assert_close(onednn.linear(weight, bias, 8, "fp32")(x), wanted)
    rounded = onednn.linear(weight, bias, 8, "bf16")(x)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, wanted, atol=0.1, rtol=0.02)


def _write_precision(folder: Path, precision: dict[str, Any] | None) -> None:
    """Into run.json; None takes it out."""
    made = {
        key: value for key, value in read_json(folder / "run.json").items() if key != "precision"
    }
    write_json(folder / "run.json", made | ({"precision": precision} if precision else {}))


def test_a_run_keeps_the_precision_that_it_began_with(small: Experiment, tmp_path: Path) -> None:
    folder = experiment.run(small, tmp_path, arms=["baseline"], seeds=[0])
    first = read_json(folder / "run.json")["precision"]
    assert first == asdict(rates("auto", Path(small.model)))
    assert read_json(folder / "baseline-s0" / "ledger.json")["precision"] == first["choice"]
    other = OTHER[first["choice"]]
    _write_precision(
        folder, first | {"choice": other}
    )  # as if it had been begun where the measurement went the other way
    experiment.run(small, tmp_path, seeds=[0], jobs=2)
    assert read_json(folder / "trait-25-s0" / "ledger.json")["precision"] == other
    assert read_json(folder / "trait-25-s0" / "key.json")["of"]["training"]["precision"] == other
    assert for_run(folder, [], Options(["are-you-sure"], items=2)).precision == other
    explicit = small.model_copy(
        update={"training": small.training.model_copy(update={"precision": first["choice"]})}
    )
    assert in_run_precision(explicit, folder) == explicit


def test_a_run_whose_record_is_lost_or_of_an_earlier_version_goes_on_as_its_cells_were_begun(
    small: Experiment, tmp_path: Path
) -> None:
    folder = tmp_path / small.name
    experiment.run(small, tmp_path, arms=["baseline"], seeds=[0])
    other = OTHER[read_json(folder / "run.json")["precision"]["choice"]]
    _write_precision(folder, None)
    key = read_json(folder / "baseline-s0" / "key.json")
    key["of"]["training"]["precision"] = other
    write_json(folder / "baseline-s0" / "key.json", key)
    assert in_run_precision(small, folder).training.precision == other
    (folder / "run.json").unlink()
    experiment.run(small, tmp_path, arms=["baseline"], seeds=[0])
    kept = read_json(folder / "run.json")["precision"]
    assert (kept["choice"], kept["reason"]) == (other, "as the cells that are here were begun")
    _write_precision(folder, {"choice": "fp8"})
    with pytest.raises(ColorfastError, match="wants fp32 or bf16, found 'fp8'"):
        in_run_precision(small, folder)


def test_an_attack_run_without_a_run_keeps_the_precision_that_it_began_with(
    tiny_model: Path, tmp_path: Path
) -> None:
    made = tiny_attack_plan(tiny_model, tmp_path)
    run_attacks(made, tmp_path / "a")
    home = tmp_path / "a" / "attacks"
    kept = read_json(home / "precision.json")
    assert kept == asdict(rates("auto", tiny_model))
    assert read_json(home / "persistence.json")["precision"] == kept["choice"]
    write_json(home / "precision.json", kept | {"choice": OTHER[kept["choice"]]})
    with pytest.raises(ColorfastError, match="another way"):  # read, not measured again
        run_attacks(made, tmp_path / "a")


@on_a_cpu
def test_plan_prints_the_choice_and_both_rates_in_one_line(
    tmp_path: Path, tiny_model: Path
) -> None:
    done = colorfast("plan", str(write_toml(tmp_path, tiny_model)))
    assert done.returncode == 0, done.stderr
    (line,) = [row for row in done.stdout.splitlines() if row.startswith("products in ")]
    assert "GFLOP/s a core in fp32" in line
    assert processor().name in line
