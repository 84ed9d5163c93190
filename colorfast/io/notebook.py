"""Rows as a pandas frame and as a figure, for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from colorfast.types import ColorfastError

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


def frame(rows: Iterable[Mapping[str, Any]]) -> pandas.DataFrame:
    """Rows as a pandas frame. Raises ColorfastError when pandas is not installed."""
    try:
        import pandas  # an optional extra
    except ModuleNotFoundError:
        raise ColorfastError('pandas is missing; pip install "colorfast[notebook]"') from None
    return pandas.DataFrame(list(rows))


def interval_plot(title: str, rows: Sequence[Mapping[str, Any]], value: str) -> Figure:
    """Means with their 95% intervals, one line a row. Rows without a value are left out.

    Each row has `label`, `low`, `high` and the column that `value` names, which labels the axis.
    """
    from matplotlib.figure import Figure  # start-up time

    measured = [row for row in rows if row[value] is not None]
    figure = Figure(figsize=(7, 1 + 0.3 * len(measured)), layout="constrained")
    axes = figure.subplots()
    places = range(len(measured))
    for place, row in zip(places, measured, strict=True):
        if row["low"] is not None:
            axes.plot([row["low"], row["high"]], [place, place], color="tab:blue")
        axes.plot(row[value], place, "o", color="tab:blue")
    axes.set_yticks(places, [row["label"] for row in measured])
    axes.invert_yaxis()
    axes.set_xlabel(f"{value}, with 95% interval")
    axes.set_title(title)
    return figure
