"""An arm as a folder that verl trains on a Ray cluster, and the check of the finished training."""

from colorfast.export.verl.dumps import check, slot_rows
from colorfast.export.verl.folder import VERL, rows, write

__all__ = ["VERL", "check", "rows", "slot_rows", "write"]
