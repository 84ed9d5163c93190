"""Commands that write what other systems read; each is a command of `colorfast export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from colorfast.cli.shown import Json, out, print_json

app = typer.Typer()
export = typer.Typer(no_args_is_help=True)
app.add_typer(
    export,
    name="export",
    help="Write an arm for another system to train or read.",
    epilog="Example: `colorfast export verl quick --arm trait-5 --to out/trait-5-s0`",
)


@export.command(
    epilog="Examples: `colorfast export verl my.toml --arm trait --seed 0 --to out/trait-s0` - then `GPUS=8 out/trait-s0/launch.sh`"
)
def verl(
    experiment: Annotated[str, typer.Argument(help="Name of a shipped experiment, or a TOML file.")],
    arm: Annotated[str, typer.Option(help="Which arm.")],
    to: Annotated[Path, typer.Option(help="The folder to write.")],
    seed: Annotated[int, typer.Option(help="Which seed.")] = 0,
    as_json: Json = False,
) -> None:
    """One arm for verl on a Ray cluster: the slots in order, the held-out scenarios, the reward, the launch line."""
    from colorfast import experiment as exp
    from colorfast.engines import verl as engine
    from colorfast.names import check_known

    loaded = exp.load(experiment)
    check_known("arm", [arm], loaded.arms)
    manifest = engine.write(loaded, arm, seed, to)
    if as_json:
        print_json(manifest)
        return
    out.print(f"{manifest['slots']} slots, {manifest['trait_slots']} of them trait scenarios; {manifest['heldout']} held-out scenarios")
    out.print(f"sha256 {manifest['sha256']}")
    out.print(f"to train: {to}/launch.sh   (verl {engine.VERL}; docs/many-gpus.md)", markup=False, soft_wrap=True)


@export.command(name="verl-check", epilog="Example: `colorfast export verl-check out/trait-s0`")
def verl_check(
    folder: Annotated[Path, typer.Argument(help="The exported folder.")],
    dumps: Annotated[Path | None, typer.Option(help="verl's rollout dumps; FOLDER/out/rollouts when left out.")] = None,
    as_json: Json = False,
) -> None:
    """After a run: were the slots that verl's rewards saw the schedule's, each in its step?"""
    from colorfast.engines import verl as engine

    found = engine.check(folder, dumps or folder / "out" / "rollouts")
    if as_json:
        print_json(found)
        return
    out.print(f"{found['slots']} slots, each in its step; {found['replies']} replies rewarded, {found['ungraded']} left out ungraded")
    out.print(f"sha256 {found['sha256']}, as planned")
