"""The command line as tests start it: every call is a process of its own, forked from one that has imported everything once.

Importing PyTorch and its libraries takes 5 of the 6 seconds that such a call would take."""

from __future__ import annotations

import atexit
import json
import os
import runpy
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

AT_IMPORT = ("OMP_NUM_THREADS", "COLUMNS")
"""Variables that are read while modules are imported: a call that sets one gets a process that imports anew."""
WIDE = {"COLUMNS": "200"}


def colorfast(*args: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
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
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **WIDE}
    )
    atexit.register(server.wait)
    atexit.register(server.stdin.close)  # type: ignore[union-attr]
    return server


def _next_call() -> list[str]:
    """Fork for every request that comes in; returns, in each child alone, what it is to run."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            os.environ.clear()
            os.environ.update(request["env"])
            os.chdir(request["cwd"])
            for place, path in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
                os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), place)
            return list(request["args"])
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()
    sys.exit()


if __name__ == "__main__":
    sys.argv = ["colorfast", *_next_call()]
    runpy.run_module("colorfast.cli", run_name="__main__", alter_sys=True)
