"""Work done in processes of our own, several at once. Whatever ends one end ends the other."""

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
"""Seconds that a process has to end when it is asked to."""
T = TypeVar("T")
Room = Mapping[str, str]
"""Environment variables: what a process may use."""


def room(place: int, jobs: int) -> Room:
    """What one of several processes may use: a GPU of its own, or its share of the cores (two with
    all threads slow each other down)."""
    import torch

    if not torch.cuda.is_available():
        return {"OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // jobs))}
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    devices = given.split(",") if given else [str(i) for i in range(torch.cuda.device_count())]
    return {"CUDA_VISIBLE_DEVICES": devices[place % len(devices)]}


def start(arguments: Sequence[str], folder: Path, room: Room) -> subprocess.Popen[bytes]:
    """`colorfast ARGUMENTS`, which says what it says in the folder's log. It must call
    `end_with_parent`."""
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
    """`jobs` of them at once; each with its exit code as it ends. `tick` is told what runs, five
    times a second. When the generator is closed, the processes end too."""
    waiting, running = list(todo), dict[int, tuple[T, subprocess.Popen[bytes]]]()
    try:
        while waiting or running:
            for place in range(jobs):
                if place not in running and waiting:
                    one = waiting.pop(0)
                    running[place] = one, begin(one, room(place, jobs))
            for place, (one, process) in list(running.items()):
                if process.poll() is not None:
                    del running[place]
                    with process:  # closes what it read from
                        yield one, process.returncode
            tick([one for one, _ in running.values()])
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
    """End this process when the one that started it is gone, however it went: then its end of our
    input closes."""

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
