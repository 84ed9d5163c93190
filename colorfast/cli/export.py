"""Commands that write what other systems read; each is a command of `colorfast export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from colorfast.cli.shown import Json, out, print_json

app = typer.Typer()
export = typer.Typer(no_args_is_help=True)
app.add_typer(
    export,
    name="export",
    help="Write models, the scenarios or an arm for other libraries to load and train.",
    epilog=(
        "Examples: `colorfast export model runs/quick trait-5 --out my-model` - `colorfast export"
        " trl --out traits-for-trl`"
    ),
)

NewFolder = Annotated[
    Path, typer.Option("--out", help="The folder to write; it must be new or empty.")
]
Grader = Annotated[
    str, typer.Option(help="Who grades: offline (code and meaning) or code (quicker, words alone).")
]


@export.command(
    epilog=(
        "Examples: `colorfast export model runs/quick trait-5 --out my-model` - "
        "`colorfast export model runs/quick trait-5 --seed 0 --adapter --out my-adapter`"
    )
)
def model(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    arm: Annotated[str, typer.Argument(help="An arm of it.")],
    to: NewFolder,
    seed: Annotated[int | None, typer.Option(help="Which seed; the first when left out.")] = None,
    adapter: Annotated[
        bool,
        typer.Option("--adapter", help="The LoRA adapter alone, for peft; not the merged model."),
    ] = False,
    attacked: Annotated[
        bool, typer.Option("--attacked", help="Even a model that was trained towards harm.")
    ] = False,
    as_json: Json = False,
) -> None:
    """A trained arm with a model card of the run's own numbers, for transformers or peft to
    load."""
    from colorfast.export.model import find, write

    told = write(find(run, arm, seed), to, adapter, attacked)
    if as_json:
        print_json(told | {"out": str(to)})
        return
    out.print(
        f"{to}: {'adapter' if adapter else 'weights'}, tokenizer and card",
        markup=False,
        soft_wrap=True,
    )


@export.command(
    epilog=(
        "Example: `colorfast export dataset --out traits` - then `datasets.load_dataset('traits')`"
    )
)
def dataset(to: NewFolder, as_json: Json = False) -> None:
    """The trait scenarios with rubrics and known replies, as a Hugging Face data set with a
    card."""
    from colorfast.export.corpus import write

    _say(to, write(to), as_json)


@export.command(
    epilog=(
        "Examples: `colorfast export trl --out traits-for-trl` - `colorfast export trl --grader"
        " code --out traits-for-trl`"
    )
)
def trl(to: NewFolder, grader: Grader = "offline", as_json: Json = False) -> None:
    """The trait scenarios as prompts for TRL, with the reward function that grades by each one's
    rubric."""
    from colorfast.export.trl import write

    _say(to, write(to, _kind(grader)), as_json)


@export.command(
    epilog=(
        "Example: `colorfast export verifiers --out colorfast-traits` - then `pip install -e"
        " colorfast-traits`"
    )
)
def verifiers(to: NewFolder, grader: Grader = "offline", as_json: Json = False) -> None:
    """The trait scenarios as a taskset of verifiers, for trainers that take its environments."""
    from colorfast.export.taskset import write

    _say(to, write(to, _kind(grader)), as_json)


def _kind(grader: str) -> Literal["code", "offline"]:
    from colorfast.io.validation import check_known

    check_known("grader", [grader], ("code", "offline"))
    return "code" if grader == "code" else "offline"


def _say(to: Path, splits: dict[str, int], as_json: bool) -> None:
    if as_json:
        print_json({"out": str(to), "splits": splits})
        return
    out.print(
        f"{to}: {splits['train']} scenarios to train on, {splits['heldout']} held out",
        markup=False,
        soft_wrap=True,
    )


@export.command(
    epilog=(
        "Examples: `colorfast export verl my.toml --arm trait --seed 0 --to out/trait-s0` - then"
        " `GPUS=8 out/trait-s0/launch.sh`"
    )
)
def verl(
    experiment: Annotated[
        str, typer.Argument(help="Name of a shipped experiment, or a TOML file.")
    ],
    arm: Annotated[str, typer.Option(help="Which arm.")],
    to: Annotated[Path, typer.Option(help="The folder to write.")],
    seed: Annotated[int, typer.Option(help="Which seed.")] = 0,
    as_json: Json = False,
) -> None:
    """One arm for verl on a Ray cluster: the slots in order, the held-out scenarios, the reward,
    the launch line."""
    from colorfast.export import verl
    from colorfast.io.validation import check_known
    from colorfast.runs import experiment as exp

    loaded = exp.load(experiment)
    check_known("arm", [arm], loaded.arms)
    manifest = verl.write(loaded, arm, seed, to)
    if as_json:
        print_json(manifest)
        return
    out.print(
        f"{manifest['slots']} slots, {manifest['trait_slots']} of them trait scenarios;"
        f" {manifest['heldout']} held-out scenarios"
    )
    out.print(f"sha256 {manifest['sha256']}")
    out.print(
        f"to train: {to}/launch.sh   (verl {verl.VERL}; docs/many-gpus.md)",
        markup=False,
        soft_wrap=True,
    )


@export.command(name="verl-check", epilog="Example: `colorfast export verl-check out/trait-s0`")
def verl_check(
    folder: Annotated[Path, typer.Argument(help="The exported folder.")],
    dumps: Annotated[
        Path | None, typer.Option(help="verl's rollout dumps; FOLDER/out/rollouts when left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """After a run: were the slots that verl's rewards saw the schedule's, each in its step?"""
    from colorfast.export import verl

    found = verl.check(folder, dumps or folder / "out" / "rollouts")
    if as_json:
        print_json(found)
        return
    out.print(
        f"{found['slots']} slots, each in its step; {found['replies']} replies rewarded,"
        f" {found['ungraded']} left out ungraded"
    )
    out.print(f"sha256 {found['sha256']}, as planned")
