"""Commands run in processes of their own, several at once. They end when this process ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

LOG = "log.txt"
PATIENCE = 10
"""Seconds that a process has to end after it is asked to."""
T = TypeVar("T")
Room = Mapping[str, str]
"""Environment variables that say which GPU or how many cores a process uses."""


def room(place: int, jobs: int) -> Room:
    """What one of several processes uses: a GPU of its own, or its share of the CPU cores, since
    processes that each use all threads slow each other down."""
    import torch  # start-up time

    if not torch.cuda.is_available():
        return {"OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // jobs))}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    devices = visible.split(",") if visible else list(map(str, range(torch.cuda.device_count())))
    return {"CUDA_VISIBLE_DEVICES": devices[place % len(devices)]}


def start(arguments: Sequence[str], folder: Path, room: Room) -> subprocess.Popen[bytes]:
    """Start `colorfast ARGUMENTS`; its output goes to the folder's log.

    The command must call `end_with_parent`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "colorfast.cli", *arguments]
    with (folder / LOG).open("wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, env={**os.environ, **room}
        )


def several(
    todo: Sequence[T],
    begin: Callable[[T, Room], subprocess.Popen[bytes]],
    jobs: int,
    tick: Callable[[Sequence[T]], None],
) -> Generator[tuple[T, int]]:
    """Run a process for each of `todo`, `jobs` at once; yield each with its exit code as it ends.

    `tick` gets what is running, five times a second. Closing the generator ends the processes.
    """
    waiting = list(todo)
    running: dict[int, tuple[T, subprocess.Popen[bytes]]] = {}
    try:
        while waiting or running:
            for place in range(jobs):
                if place not in running and waiting:
                    task = waiting.pop(0)
                    running[place] = task, begin(task, room(place, jobs))
            for place, (task, process) in list(running.items()):
                if process.poll() is not None:
                    del running[place]
                    with process:  # closes its pipes
                        yield task, process.returncode
            tick([task for task, _ in running.values()])
            time.sleep(0.2)
    finally:
        _stop([process for _, process in running.values()])


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        with process:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def end_with_parent() -> None:
    """End this process when its parent is gone, even killed: the pipe to our stdin then closes."""

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
