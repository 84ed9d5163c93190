"""The processor of this machine."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import NamedTuple

INFO = Path("/proc/cpuinfo")


class Processor(NamedTuple):
    """A CPU: its maker's name, and the flags that Linux lists (empty elsewhere)."""

    name: str
    flags: frozenset[str]


def processor() -> Processor:
    """The processor that computes here."""
    text = INFO.read_text(encoding="utf-8", errors="replace") if INFO.is_file() else ""
    fields = dict(re.findall(r"^(model name|flags)\s*: (.+)$", text, re.M))
    name = fields.get("model name", "").strip() or platform.processor() or platform.machine()
    return Processor(name, frozenset(fields.get("flags", "").split()))
