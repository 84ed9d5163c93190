"""Folders of the package as registries: a file's stem is the name of what the file holds.

A path to a user's own file is a name as well.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from colorfast.io.validation import nearest
from colorfast.types import ColorfastError

PACKAGE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Folder:
    """Files of one kind in a folder of the package.

    `what`: the kind in error messages. `path`: the folder, relative to the package.
    """

    what: str
    path: str
    suffix: str = ".py"

    def names(self) -> list[str]:
        """The sorted names of the files."""
        files = (PACKAGE / self.path).glob(f"*{self.suffix}")
        return sorted(file.stem for file in files if file.stem != "__init__")

    def file(self, name: str) -> Path:
        """The file called `name`, or the user's file at the path `name`.

        Raises ColorfastError when neither exists.
        """
        if name in self.names():
            return PACKAGE / self.path / f"{name}{self.suffix}"
        if os.path.isfile(name):
            return Path(name)
        if Path(name).suffix:
            raise ColorfastError(f"{name}: no such file")
        raise ColorfastError(f"{self.what} {name!r}: no such file; {nearest(name, self.names())}")

    def load(self, name: str, attribute: str) -> Any:
        """`attribute` of the module called `name`, or of the user's Python file at that path.

        Raises ColorfastError when neither exists, or the user's file has no such attribute.
        """
        if name in self.names():
            return getattr(self.module(name), attribute)
        value = load_attribute(name, attribute)
        if value is None:
            raise ColorfastError(f"unknown {self.what} {name!r}; {nearest(name, self.names())}")
        return value

    def load_all(self, attribute: str) -> list[Any]:
        """`attribute` of every module of the folder that has it, in order of names."""
        modules = [self.module(name) for name in self.names()]
        return [getattr(module, attribute) for module in modules if hasattr(module, attribute)]

    def module(self, name: str) -> ModuleType:
        """The package's module called `name`."""
        return importlib.import_module(f"colorfast.{self.path.replace('/', '.')}.{name}")


def load_module(path: Path) -> ModuleType | None:
    """The user's Python file as a module; None when there is no such file.

    Raises ColorfastError when the file cannot be imported.
    """
    if path.suffix != ".py" or not os.path.isfile(path):
        return None
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's own code can raise anything
        reason = " ".join(str(error).split())[:160]
        raise ColorfastError(
            f"{path}: cannot be imported ({type(error).__name__}: {reason})"
        ) from None
    return module


def load_attribute(path: str, attribute: str) -> Any:
    """`attribute` of the user's Python file at `path`; None when there is no such file.

    Raises ColorfastError when the file has no such attribute.
    """
    module = load_module(Path(path))
    if module is None:
        return None
    if not hasattr(module, attribute):
        raise ColorfastError(f"{path}: this file has no `{attribute}`")
    return getattr(module, attribute)
