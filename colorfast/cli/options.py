"""Options and arguments that several commands share, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from colorfast.types import ColorfastError

Json = Annotated[bool, Option("--json", help="Print JSON for a program to read.")]
RunFolder = Annotated[Path, Argument(metavar="RUN", help="A run folder.")]
ExperimentName = Annotated[
    str, Argument(metavar="EXPERIMENT", help="A shipped experiment, or a TOML file.")
]
ModelName = Annotated[
    str,
    Argument(
        metavar="MODEL",
        help="The embedded model's name, a folder, a .gguf file, a hub id; a name at --endpoint.",
    ),
]
OtherModel = Annotated[
    str | None, Option(help="Replace the experiment's: a folder, a .gguf file, a hub id.")
]
ArmName = Annotated[str, Option(help="Which arm.")]
Seed = Annotated[int, Option(help="Which seed.")]
Arms = Annotated[
    str,
    Option("--arms", "--arm", help="Only these arms and the baseline, comma-separated."),
]
RunsFolder = Annotated[Path, Option("--out", help="The folder that holds run folders.")]
NewFolder = Annotated[Path, Option("--out", help="The folder to write; new or empty.")]
Items = Annotated[int, Option("--items", "--limit", min=1, help="Items per benchmark.")]
SkipUnreachable = Annotated[
    bool,
    Option(
        "--skip-unreachable",
        help="Leave out benchmarks whose files cannot be reached; a later call adds them.",
    ),
]
EndpointUrl = Annotated[
    str | None,
    Option("--endpoint", help="URL of an OpenAI-compatible server; its key is OPENAI_API_KEY."),
]
EndpointModel = Annotated[str, Option(help="The model to ask there.")]


def split(text: str) -> list[str]:
    """The names of a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def check_together(option: str, url: str | None, model: str) -> None:
    """Raises ColorfastError when only one of a server's URL and its model is named."""
    if bool(url) != bool(model):
        raise ColorfastError(
            f"{option} and --model go together: the server's base URL, and the name of a model on"
            " it"
        )
