"""What leaves for other libraries: a model with its card, and the corpus in the forms in which
others train on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from colorfast.io.storage import write_text
from colorfast.types import ColorfastError

HOME = Path(__file__).parent


@contextmanager
def fresh(folder: Path) -> Iterator[Path]:
    """Yield a folder beside `folder` to write in; on success it takes the name, on failure nothing
    is left.

    Raises ColorfastError when there is something at `folder` already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ColorfastError(f"{folder}: is not empty; give another --out, or delete it")
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        if folder.exists():
            folder.rmdir()
        part.replace(folder)
    except OSError as error:
        raise ColorfastError(
            f"{folder}: cannot be written ({error.strerror or error}); free some disk space?"
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_card(path: Path, template: str, **values: Any) -> None:
    """Fill in a template of this folder."""
    environment = Environment(
        loader=FileSystemLoader(HOME),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    write_text(path, environment.get_template(template).render(**values) + "\n")


def copy_text(name: str, path: Path) -> None:
    """A file of this folder, as it is."""
    write_text(path, (HOME / name).read_text(encoding="utf-8"))
