"""What this machine's processor is."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import NamedTuple

INFO = Path("/proc/cpuinfo")


class Processor(NamedTuple):
    """A CPU by its maker's name, and what Linux says it can do (empty elsewhere)."""

    name: str
    flags: frozenset[str]


def processor() -> Processor:
    """The one that computes here."""
    text = INFO.read_text(encoding="utf-8", errors="replace") if INFO.is_file() else ""
    name, flags = (re.search(rf"^{key}\s*: (.+)$", text, re.M) for key in ("model name", "flags"))
    plain = platform.processor() or platform.machine()
    return Processor(
        name[1].strip() if name else plain, frozenset(flags[1].split() if flags else ())
    )
