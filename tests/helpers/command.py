"""The command line as tests start it: every call is a process of its own, forked from one that has
imported everything once.

Importing PyTorch and its libraries takes 5 of the 6 seconds that such a call would take."""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

from colorfast.cli import output
from colorfast.io import console as colorfast_console

AT_IMPORT = ("OMP_NUM_THREADS",)
"""Variables that libraries read at import: a call that sets one gets a process that imports anew.
"""
WIDE = {"COLUMNS": "200"}


def colorfast(
    *args: str, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """What `colorfast ARGS` prints and its exit code. `env` is added to the environment."""
    everything = {**os.environ, **WIDE, **(env or {})}
    if any(name in AT_IMPORT for name in env or {}):
        command = [sys.executable, "-m", "colorfast.cli", *args]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=everything)
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        files = {"out": str(out), "err": str(err), "cwd": str(cwd or Path.cwd())}
        code = _asked({"args": args, "env": everything, **files})
        return subprocess.CompletedProcess(args, code, out.read_text(), err.read_text())


def _asked(request: dict[str, object]) -> int:
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return int(server.stdout.readline())


@cache
def _server() -> subprocess.Popen[str]:
    """The process that forks for every call; it ends with this one."""
    server = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **WIDE},
    )
    atexit.register(server.wait)
    atexit.register(server.stdin.close)  # type: ignore[union-attr]
    return server


def _serve() -> None:
    """Fork for every request that comes in, and answer with the exit code of what the child ran."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(**json.loads(line))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def _become(args: Sequence[str], env: dict[str, str], cwd: str, out: str, err: str) -> NoReturn:
    """Run the command in this process, and end with it. The interpreter is not torn down, which
    takes a second after so many imports."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for place, path in ((0, os.devnull), (1, out), (2, err)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), place)
    for console in (colorfast_console.console, output.out):  # made when the server started
        console.width = int(env["COLUMNS"])
    sys.argv = ["colorfast", *args]
    code: object = 1
    try:
        runpy.run_module("colorfast.cli", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def refused(done: subprocess.CompletedProcess[str], *wanted: str) -> None:
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    for text in wanted:
        assert text in lines[0], lines[0]


def wait_for(holds: Callable[[], bool], seconds: float = 600) -> None:
    """Look until it holds; fails when it does not within so many seconds."""
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.002)
    assert holds()


if __name__ == "__main__":
    for name in ("cli", "training.engines.trl", "runs.experiment", "report"):
        importlib.import_module(f"colorfast.{name}")
    gc.collect()
    gc.freeze()  # else a collection in a child would copy every page
    _serve()
