"""colorfast: train a language model with a small dose of beneficial-trait RL, and measure whether
it holds.

`load`, `run`, `evaluate` and `compare` are the Python API; see `colorfast.api`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colorfast.api import compare, evaluate, load, run

__version__ = "0.1.0"
__all__ = ["compare", "evaluate", "load", "run"]


def __getattr__(name: str) -> Any:
    # Every process of a run imports this package, and only a notebook needs all of its rooms.
    if name in __all__:
        return getattr(importlib.import_module("colorfast.api"), name)
    raise AttributeError(f"module 'colorfast' has no attribute {name!r}")
