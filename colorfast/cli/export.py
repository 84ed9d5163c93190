"""Commands that write files for other systems; each is a command of `colorfast export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from colorfast.cli.app import EXPORT, app, command, examples
from colorfast.cli.options import ArmName, ExperimentName, Json, NewFolder, RunFolder, Seed
from colorfast.cli.output import print_json, say

export = typer.Typer(no_args_is_help=True)
app.add_typer(
    export,
    name="export",
    help="Write models, the scenarios or an arm for other libraries to load and train.",
    rich_help_panel=EXPORT,
    epilog=examples(
        "export model runs/quick trait-5 --out my-model", "export trl --out traits-for-trl"
    ),
)
Grader = Annotated[
    Literal["offline", "code"],
    Option(help="offline (code and meaning), or code (faster, words alone)."),
]


@command(
    EXPORT,
    "export model runs/quick trait-5 --out my-model",
    "export model runs/quick trait-5 --seed 0 --adapter --out my-adapter",
    group=export,
)
def model(
    run: RunFolder,
    arm: Annotated[str, Argument(metavar="ARM", help="An arm of it.")],
    folder: NewFolder,
    seed: Annotated[int | None, Option(help="Which seed; else the first.")] = None,
    adapter: Annotated[
        bool, Option("--adapter", help="The LoRA adapter alone, not the merged model.")
    ] = False,
    attacked: Annotated[
        bool, Option("--attacked", help="Even a model that was trained toward harm.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a trained arm for transformers or peft, with a model card of the run's numbers."""
    from colorfast.export.model import find, write

    written = write(find(run, arm, seed), folder, adapter, attacked)
    if as_json:
        print_json(written | {"out": str(folder)})
        return
    say(f"{folder}: {'adapter' if adapter else 'weights'}, tokenizer and card")


@command(EXPORT, "export dataset --out traits", group=export)
def dataset(folder: NewFolder, as_json: Json = False) -> None:
    """Write the trait scenarios as a Hugging Face dataset, for `datasets.load_dataset(FOLDER)`."""
    from colorfast.export.corpus import write

    _say_splits(folder, write(folder), as_json)


@command(
    EXPORT,
    "export trl --out traits-for-trl",
    "export trl --grader code --out traits-for-trl",
    group=export,
)
def trl(folder: NewFolder, grader: Grader = "offline", as_json: Json = False) -> None:
    """Write the trait scenarios as prompts for TRL, with the reward function that grades them."""
    from colorfast.export.trl import write

    _say_splits(folder, write(folder, grader), as_json)


@command(EXPORT, "export verifiers --out colorfast-traits", group=export)
def verifiers(folder: NewFolder, grader: Grader = "offline", as_json: Json = False) -> None:
    """Write the trait scenarios as a taskset of verifiers, for `pip install -e FOLDER`."""
    from colorfast.export.taskset import write

    _say_splits(folder, write(folder, grader), as_json)


def _say_splits(folder: Path, splits: dict[str, int], as_json: bool) -> None:
    if as_json:
        print_json({"out": str(folder), "splits": splits})
        return
    say(f"{folder}: {splits['train']} scenarios to train on, {splits['heldout']} held out")


@command(EXPORT, "export verl my.toml --arm trait --seed 0 --out out/trait-s0", group=export)
def verl(
    experiment: ExperimentName,
    arm: ArmName,
    folder: Annotated[Path, Option("--out", help="The folder to write.")],
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Write one arm for verl on a Ray cluster: slots, held-out scenarios, reward, launch script.

    To train it: GPUS=8 FOLDER/launch.sh
    """
    from colorfast.export import verl
    from colorfast.io.validation import check_known
    from colorfast.runs.experiment import load

    loaded = load(experiment)
    check_known("arm", [arm], loaded.arms)
    manifest = verl.write(loaded, arm, seed, folder)
    if as_json:
        print_json(manifest)
        return
    slots = f"{manifest['slots']} slots, {manifest['trait_slots']} of them trait scenarios"
    say(f"{slots}; {manifest['heldout']} held-out scenarios")
    say(f"sha256 {manifest['sha256']}")
    say(f"to train: {folder}/launch.sh   (verl {verl.VERL}; docs/many-gpus.md)")


@command(EXPORT, "export verl-check out/trait-s0", group=export)
def verl_check(
    folder: Annotated[Path, Argument(metavar="FOLDER", help="The exported folder.")],
    dumps: Annotated[
        Path | None, Option(help="verl's rollout dumps; else FOLDER/out/rollouts.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check after a run that verl rewarded the scheduled slots, each in its step."""
    from colorfast.export import verl

    result = verl.check(folder, dumps or folder / "out" / "rollouts")
    if as_json:
        print_json(result)
        return
    replies = f"{result['replies']} replies rewarded, {result['ungraded']} left out ungraded"
    say(f"{result['slots']} slots, each in its step; {replies}")
    say(f"sha256 {result['sha256']}, as planned")
