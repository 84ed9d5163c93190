"""What changed inside: a planted direction is found, a shifted model shows its shift, and nothing
shows where nothing is."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from colorfast.config import Arm, Evaluation, Experiment, Training
from colorfast.corpus.scenarios import corpus
from colorfast.interp.directions import Direction, Floats, auc, direction
from colorfast.interp.run import look
from colorfast.interp.shift import Contrast, Shift, agree, load, quality, shifted
from colorfast.io.storage import read_json, write_json
from colorfast.io.tables import read_scores, write_scores
from colorfast.models.activations import activations
from colorfast.models.local import LocalPolicy, load_policy
from colorfast.models.resolve import weights_sha256
from colorfast.report import write
from colorfast.stats.intervals import rng
from colorfast.stats.rows import flat
from colorfast.training.schedule import heldout
from colorfast.types import Interval
from helpers.command import colorfast, refused
from helpers.run_folders import better, make_run

LAYERS, WIDTH, PLANTED = 6, 48, 3
PART = {
    "traits": ("corrigibility", "truthfulness", "dense-usefulness", "bounded-initiative"),
    "domains": ("health", "law"),
}


def simulated(
    name: str, n: int = 24, size: float = 1.0, labels: bool = True
) -> tuple[Floats, Floats]:
    """Good and bad replies to n scenarios [n, layers, width]: at the planted layer good ones lie
    `size` further along coordinate 7. A scenario moves both its replies; with `labels` off good and
    bad change places for every second one."""
    draw = rng(f"inside-test-{name}")
    both = draw.normal(0, 1, (n, LAYERS, WIDTH))
    good, bad = (both + draw.normal(0, 0.2, both.shape) for _ in range(2))
    good[:, PLANTED, 7] += size
    if not labels:
        good[::2], bad[::2] = bad[::2].copy(), good[::2].copy()
    return good, bad


def test_a_planted_direction_is_found_at_its_layer_and_read_on_others() -> None:
    d = direction("t", *simulated("make"))
    assert d.layer == PLANTED
    assert d.vector[7] > 0.9 and np.linalg.norm(d.vector) == pytest.approx(1)
    assert d.gap == pytest.approx(1, abs=0.3)
    held, other = simulated("held", 60, 3.0), simulated("other", 60, 0.0)
    q = quality(d, {"t": held, "u": other}, (np.arange(60.0), np.arange(60.0)), 24)
    assert q.auc.low > 0.8 and q.length == 0.5
    assert q.others == pytest.approx(0.5, abs=0.1)
    assert np.abs(d.controls[:, 7]).max() < 0.5
    assert np.linalg.norm(d.controls, axis=1) == pytest.approx(np.ones(len(d.controls)))


def test_shuffled_labels_read_nothing() -> None:
    values = []
    for k in range(30):
        d = direction("t", *simulated(f"shuffled-{k}", labels=False))
        good, bad = simulated(f"truth-{k}", 40, 3.0)
        values.append(auc(d.project(good)[:, 0], d.project(bad)[:, 0]).value)
    assert np.mean(values) == pytest.approx(0.5, abs=0.07)


def test_auc_is_the_share_of_ordered_pairs_and_its_interval_covers() -> None:
    assert auc(np.array([2.0, 3.0, 1.0]), np.array([0.0, 3.0, 1.0])).value == pytest.approx(6 / 9)
    draw, truth, inside = (
        rng("auc"),
        0.7602,
        0,
    )  # Phi(1 / sqrt 2): two normals a standard deviation apart
    for _ in range(400):
        scenario = draw.normal(0, 0.6, 26)
        good, bad = (scenario + draw.normal(at, 0.8, 26) for at in (1, 0))
        known = auc(good, bad).interval()
        inside += known.low <= truth <= known.high
    assert 0.91 <= inside / 400 <= 0.98


def test_a_shift_along_the_direction_is_found_and_one_along_everything_is_not_taken_for_it() -> (
    None
):
    d = direction("t", *simulated("make"))
    start = rng("items").normal(0, 1, (30, LAYERS, WIDTH))
    along, everywhere = start.copy(), start.copy()
    along[:, PLANTED] += 0.5 * d.gap * d.vector
    everywhere += rng("everywhere").normal(0, 1, WIDTH)
    found = {}
    for name, arm in {"along": along, "everywhere": everywhere, "nothing": start}.items():
        moved = (d.project(arm) - d.project(start))[None]
        (found[name],), few = shifted(Contrast("arm", "start", "prompt"), {"t": moved}, {"t": 0.1})
        assert not few
    assert found["along"].shift.value == pytest.approx(0.5)
    assert found["along"].control < 0.15 and found["along"].chance == 0.01
    assert found["everywhere"].chance > 0.05
    assert (
        found["nothing"].shift.value == 0
        and found["nothing"].p == 1
        and found["nothing"].chance == 1
    )


def test_an_item_without_words_is_left_out_and_a_trait_without_items_says_why() -> None:
    moved = np.ones((2, 5, 100))
    moved[0, 3] = np.nan
    empty = np.full((2, 5, 100), np.nan)
    (one,), few = shifted(Contrast("arm", "start", "reply"), {"t": moved, "u": empty}, {})
    assert (one.items, one.seeds, one.shift.value, one.behaviour) == (4, 2, 1, None)
    assert few == {"u": "0 scenarios with words in every reply"}


def points(inside: Floats, outside: Floats) -> list[Shift]:
    """Shifts of arms x traits against the baseline."""
    blank = Shift("", "baseline", "prompt", "", Interval(0, 0, 0), 1, 0, 1, 0, 9, 1)
    return [
        replace(
            blank,
            arm=f"arm-{a}",
            trait=f"trait-{t:02}",
            shift=Interval(float(inside[a, t]), 0, 0),
            behaviour=float(outside[a, t]),
        )
        for a, t in np.ndindex(inside.shape)
    ]


def test_agreement_finds_what_goes_together_and_nothing_else() -> None:
    draw = rng("agreement-test")
    inside = draw.normal(0, 1, (2, 12))
    same = agree(points(inside, inside + draw.normal(0, 0.3, inside.shape)), "prompt")
    assert same.rho is not None and same.p is not None
    assert (
        same.rho.value > 0.8
        and same.rho.low > 0.5
        and same.p < 0.01
        and (same.points, same.traits) == (24, 12)
    )
    # two arms that moved unlike far, inside and out, agree by arm alone: twelve traits say nothing
    # more than the two arms
    step = np.array([[0.0], [5.0]])
    apart = agree(points(inside + step, draw.normal(0, 1, inside.shape) + step), "prompt")
    assert apart.rho is not None and apart.p is not None
    assert apart.rho.value > 0.5 and apart.p > 0.05
    assert (
        agree(points(inside[:, :3], inside[:, :3]), "prompt").reason
        == "3 traits in every dosed arm, it needs 4"
    )
    assert (
        agree(points(inside, 0 * inside), "prompt").reason
        == "nothing moved, inside or in behaviour"
    )


def test_each_measure_has_its_own_agreement() -> None:
    inside = rng("measures").normal(0, 1, (2, 12))
    prompt = points(inside, inside)
    other = [replace(s, measure="text") for s in points(-inside, inside)]
    for shifts in ([*prompt, *other], [*other, *prompt]):
        same, turned = agree(shifts, "prompt"), agree(shifts, "text")
        assert same.rho is not None and same.rho.value == pytest.approx(1)
        assert turned.rho is not None and turned.rho.value == pytest.approx(-1)


def test_agreement_by_chance_is_found_as_often_as_p_says() -> None:
    draw = rng("null")
    found = [agree(points(*draw.normal(0, 1, (2, 1, 8))), "prompt").p for _ in range(60)]
    assert np.mean([p is not None and p < 0.1 for p in found]) < 0.2


def nothing(_: int) -> None:
    pass


def test_activations_equal_a_plain_forward_pass_whatever_is_shared_or_batched(
    tiny_model: Path,
) -> None:
    policy = load_policy(str(tiny_model))
    some = corpus()[:5]
    pairs = [(s.messages, s.replies[kind]) for kind in ("bad", "good") for s in some] + [
        (some[0].messages, " ")
    ]
    last, means = activations(policy, pairs, nothing)
    assert last.shape == means.shape == (11, 3, 32)
    for (conversation, reply), at_end, mean in zip(pairs[:-1], last, means, strict=False):
        prompt, said = policy.encode(conversation), policy.spoken(reply)
        whole = [m.model_dump() for m in conversation] + [{"role": "assistant", "content": reply}]
        assert (
            policy.tokenizer.apply_chat_template(whole, return_dict=True)["input_ids"][
                : len(prompt + said)
            ]
            == prompt + said
        )
        with torch.no_grad():
            hidden = policy.model(
                torch.tensor([prompt + said]), output_hidden_states=True
            ).hidden_states
        assert at_end == pytest.approx(
            np.array([h[0, len(prompt) - 1].numpy() for h in hidden]), abs=1e-5
        )
        assert mean == pytest.approx(
            np.array([h[0, len(prompt) :].mean(0).numpy() for h in hidden]), abs=1e-5
        )
    assert np.isnan(means[-1]).all() and (last[-1] == last[0]).all()


def experiment(model: Path) -> Experiment:
    return Experiment(
        name="small",
        model=str(model),
        system="Be brief.",
        standard=("facts", "format"),
        training=Training(
            steps=4, prompts_per_step=2, group_size=2, max_tokens=6, learning_rate=1e-3
        ),
        arms={"baseline": Arm(dose=0), "trait-5": Arm(dose=0.25), "trait-50": Arm(dose=0.5)},
        evaluation=Evaluation(samples=2),
        seeds=(0, 1),
        **PART,
    )


def with_bias(tiny_model: Path, folder: Path) -> Path:
    """The tiny model with a bias on what its first block adds to the stream: zero, so far."""
    tiny = AutoModelForCausalLM.from_pretrained(tiny_model)
    tiny.config.mlp_bias = True
    model = type(tiny)(tiny.config)
    model.load_state_dict(
        tiny.state_dict()
        | {k: torch.zeros_like(v) for k, v in model.state_dict().items() if k.endswith("bias")}
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def run(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose dosed arms' checkpoints are shifted by .5 (trait-5) and 1 (trait-50)
    gaps along the direction of corrigibility, and whose baseline is not shifted at all."""
    home = tmp_path_factory.mktemp("inside")
    model = with_bias(tiny_model, home / "model")
    run = make_run(home, experiment(model), better)
    made = read_json(run / "run.json")
    made["plan"]["model_sha256"] = weights_sha256(model)
    write_json(run / "run.json", made)
    start = run / "start" / "scores.parquet"
    write_scores(
        start,
        [replace(s, value=0.5, sample=k) for s in read_scores(start) for k in range(2)],
        {"heldout": "h"},
    )
    for arm in ("baseline", "trait-5", "trait-50"):
        for seed in (0, 1):
            shutil.copytree(model, run / f"{arm}-s{seed}" / "checkpoint")
    look(run)
    kept = np.load(run / "inside" / "directions.npz", allow_pickle=False)
    at = list(kept["trait"]).index("corrigibility")
    assert kept["layer"][at] == 1
    policy = load_policy(str(model))
    for arm, gaps in (("trait-5", 0.5), ("trait-50", 1.0)):
        for seed in (0, 1):
            shifted_model(
                policy, gaps * kept["gap"][at] * kept["vector"][at], run / f"{arm}-s{seed}"
            )
    look(run)
    return run


def shifted_model(policy: LocalPolicy, by: Floats, cell: Path) -> None:
    with torch.no_grad():
        policy.model.model.layers[0].mlp.down_proj.bias.copy_(torch.tensor(by))
    policy.model.save_pretrained(cell / "checkpoint")
    write_json(
        cell / "ledger.json",
        read_json(cell / "ledger.json") | {"weights": weights_sha256(cell / "checkpoint")},
    )


def test_a_model_shifted_along_a_direction_shows_that_shift(run: Path) -> None:
    found = load(run)
    assert found is not None and not found.left_out
    assert {q.trait for q in found.directions} == set(PART["traits"])
    rows = {(s.arm, s.against, s.measure, s.trait): s for s in found.shifts}
    assert len(rows) == (3 + 2) * 3 * len(PART["traits"])
    for measure in ("prompt", "reply"):
        for against in ("start", "baseline"):
            for arm, gaps in (("trait-5", 0.5), ("trait-50", 1.0)):
                s = rows[arm, against, measure, "corrigibility"]
                assert (
                    s.shift.value == pytest.approx(gaps, abs=1e-3)
                    and s.control < gaps
                    and s.chance <= 0.05
                )
                assert s.seeds == 2 and s.items == sum(
                    x.trait == "corrigibility" for x in heldout(experiment(run.parent / "model"))
                )
    assert all(
        s.shift.value == pytest.approx(0, abs=1e-5)
        for s in found.shifts
        if s.arm == "baseline" or s.measure == "text"
    )
    assert rows["trait-50", "baseline", "prompt", "truthfulness"].behaviour == pytest.approx(0.4)
    assert rows["trait-5", "start", "prompt", "truthfulness"].behaviour == pytest.approx(0)


def test_what_is_there_is_kept_and_what_is_missing_is_made_again_the_same(run: Path) -> None:
    folder = run / "inside"
    before = read_json(folder / "shifts.json")
    times = {p.name: p.stat().st_mtime_ns for p in folder.glob("*.npz")}
    assert set(times) == {
        "directions.npz",
        "start.npz",
        *(f"{a}-s{s}.npz" for a in ("baseline", "trait-5", "trait-50") for s in (0, 1)),
    }
    (folder / "trait-5-s1.npz").write_bytes(b"torn")
    (folder / "shifts.json").unlink()
    assert flat(look(run)) == before
    assert read_json(folder / "shifts.json") == before
    assert {n for n, t in times.items() if (folder / n).stat().st_mtime_ns != t} == {
        "trait-5-s1.npz"
    }


def test_the_command_and_the_report_show_it(run: Path) -> None:
    told = json.loads(colorfast("inside", str(run), "--json").stdout)
    assert told == read_json(run / "inside" / "shifts.json")
    printed = colorfast("inside", str(run)).stdout
    page = write(run).read_text(encoding="utf-8")
    short = (run / "report" / "report.md").read_text(encoding="utf-8")
    for where in (printed, page, short):
        for text in (*PART["traits"], "Spearman", "p = ", "of 2", "are no independent witnesses"):
            assert text in where
    drawn = {p.stem for p in (run / "report").glob("*.svg")}
    assert '<section id="inside">' in page and page.count("<svg ") == len(drawn)
    assert {"inside-shifts.svg", "inside-behaviour.svg"} <= {
        p.name for p in (run / "report").iterdir()
    }
    first = {p.name: p.read_bytes() for p in (run / "report").iterdir()}
    write(run)
    assert {p.name: p.read_bytes() for p in (run / "report").iterdir()} == first


def test_any_model_has_its_directions_read(tiny_model: Path, tmp_path: Path) -> None:
    done = colorfast("directions", str(tiny_model), "--out", str(tmp_path), "--json")
    rows = json.loads(done.stdout)
    assert [row["trait"] for row in rows] == sorted({s.trait for s in corpus()})
    kept = np.load(tmp_path / "directions.npz", allow_pickle=False)
    assert kept["vector"].shape == (len(rows), 32) and list(kept["layer"]) == [
        row["layer"] for row in rows
    ]
    assert all(
        (row["training"], row["heldout"], row["layers"]) == (24, 24, 2) and 0 <= row["auc"] <= 1
        for row in rows
    )


def test_a_run_that_cannot_be_read_is_one_clear_line(run: Path, tmp_path: Path) -> None:
    refused(colorfast("inside", str(tmp_path)), "not a run folder")
    copy = shutil.copytree(run, tmp_path / "small")
    shutil.rmtree(copy / "trait-5-s0" / "checkpoint")
    (copy / "inside" / "trait-5-s0.npz").unlink()
    refused(colorfast("inside", str(copy)), "trait-5-s0/checkpoint: no trained model here")
    made = read_json(copy / "run.json")
    made["plan"]["model_sha256"] = "0" * 64
    write_json(copy / "run.json", made)
    refused(colorfast("inside", str(copy)), "has changed since this run")
    (copy / "inside" / "shifts.json").write_text('{"model": 1}')
    refused(colorfast("report", str(copy)), "shifts.json: damaged", "run again: colorfast inside")


def test_a_direction_needs_four_scenarios() -> None:
    with pytest.raises(ValueError, match="3 training scenarios, a direction needs 4"):
        direction("t", *simulated("few", 3))
    assert isinstance(direction("t", *simulated("enough", 4)), Direction)
