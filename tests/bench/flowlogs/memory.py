"""How much the resident memory grows while the files are read, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from exporter import log
from exporter.runtime import tune
from tests.bench.flowlogs.contenders import Contender, timed
from tests.bench.flowlogs.data import Data, load
from tests.bench.flowlogs.estate import Answer
from tests.bench.flowlogs.ours import ours_parquet, ours_text
from tests.bench.flowlogs.peers import FROM_PARQUET, FROM_TEXT, ask_duckdb, duckdb_with

EVERY = 0.002  # seconds
PAGE = os.sysconf("SC_PAGE_SIZE")
MEGABYTE = 1e6


def resident() -> int:
    """Return the resident memory in bytes of this process and its children (proc(5), statm)."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    threads = Path("/proc/self/task").iterdir()
    children += [c for t in threads if t.name != str(os.getpid()) for c in of_thread(t)]
    return sum(pages(pid) for pid in ("self", *children)) * PAGE


def of_thread(thread: Path) -> list[str]:
    """Return the processes that a thread has started; none where it has ended."""
    try:
        return (thread / "children").read_text().split()
    except OSError:
        return []


def pages(pid: str) -> int:
    """Return how many pages a process has in memory, 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


def growth(run: Callable[[], object]) -> float:
    """Return by how many MB the resident memory was above idle at most while it ran."""
    idle, highest, done = resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(EVERY):
            highest = max(highest, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run()
    finally:
        done.set()
        watcher.join()
    return (max(highest, resident()) - idle) / MEGABYTE


def job(name: str, data: Data) -> Contender:
    """Return what is measured under that name, ready to run. Raises KeyError."""
    database = duckdb_with(data.interfaces)
    jobs: dict[str, Callable[[], Answer]] = {
        "ours text": partial(ours_text, data.text, data.interfaces),
        "ours parquet": partial(ours_parquet, data.parquet, data.interfaces),
        "duckdb text": partial(ask_duckdb, database, FROM_TEXT, data.text),
        "duckdb parquet": partial(ask_duckdb, database, FROM_PARQUET, data.parquet),
    }
    return Contender(name, data.truth.records, jobs[name], data.truth.answer)


def in_a_fresh_process(name: str) -> float:
    """Return the growth in MB of that job in a process that has done nothing else.

    Raises subprocess.CalledProcessError when the job fails.
    """
    command = [sys.executable, "-m", "tests.bench.flowlogs.memory", name]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


if __name__ == "__main__":
    tune()
    log.configure("warning", "logfmt")  # the figure alone goes to standard output
    sys.stdout.write(f"{growth(partial(timed, job(sys.argv[1], load())))}\n")
