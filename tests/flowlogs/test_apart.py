"""Parquet in a process of its own: whatever a file does to its reader, we live on."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from exporter.flowlogs import parquet
from exporter.flowlogs.apart import Readers
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import LINES, Tally
from exporter.store import CounterKey
from tests.flowlogs.judges import BEGIN, make_judge

TABLE = Table(make_judge())
ROWS = 3000


@pytest.fixture
def readers() -> Iterator[Readers]:
    """Processes that end with the test."""
    made = Readers()
    yield made
    made.close()


def written() -> bytes:
    """Return a file as AWS compresses it."""
    frame = pl.DataFrame(
        {
            "interface_id": ["eni-0a1"] * ROWS,
            "srcaddr": [f"10.0.{i % 256}.{i % 7}" for i in range(ROWS)],
            "dstaddr": ["10.1.0.10"] * ROWS,
            "start": [BEGIN + i % 60 for i in range(ROWS)],
            "end": [BEGIN + 60 + i % 60 for i in range(ROWS)],
            "action": ["ACCEPT", "REJECT"] * (ROWS // 2),
            "bytes": [i * 7919 % 100_000 for i in range(ROWS)],
        }
    )
    file = io.BytesIO()
    frame.write_parquet(file, compression="gzip", row_group_size=1000)
    return file.getvalue()


def lines(tally: Tally) -> dict[str, int]:
    return {key.label: n for key, n in tally.counters.items() if key.name == LINES and n}


def test_the_same_as_in_this_process(readers: Readers) -> None:
    """Another process says of a file what this one would, file after file."""
    here, there = Tally(), Tally()
    for _ in range(3):
        assert parquet.read(written(), TABLE, BEGIN + 600.0, here) is None
        assert readers.read(written(), TABLE, BEGIN + 600.0, there) is None
    assert there == here
    assert lines(there) == {"counted": 3 * ROWS}


def test_damaged_files(readers: Readers) -> None:
    """Random damage, some of which makes polars abort, is one malformed line or wrong rows.

    This process lives on, and the next good file is read.
    """
    good = written()
    for seed in range(260):
        draw, data = random.Random(seed), bytearray(good)
        for _ in range(draw.randrange(1, 30)):
            data[draw.randrange(4, len(data) - 8)] = draw.randrange(256)
        tally = Tally()
        problem = readers.read(bytes(data), TABLE, BEGIN + 600.0, tally)
        assert sum(lines(tally).values()) in ((1,) if problem else (ROWS,))
    tally = Tally()
    assert readers.read(good, TABLE, BEGIN + 600.0, tally) is None
    assert lines(tally) == {"counted": ROWS}


def test_what_breaks_its_reader_twice_is_broken() -> None:
    """A reader that aborts is started anew once; then the file is one malformed line."""
    readers, tally = Readers(("-c", "import os; os.abort()")), Tally()
    problem = readers.read(b"x", TABLE, BEGIN + 600.0, tally)
    assert problem == "broken Parquet: its reader ended by SIGABRT, twice"
    assert tally.counters == {CounterKey(TABLE.flow_log_id, LINES, "malformed"): 1}


@pytest.mark.parametrize(
    ("code", "how"),
    [("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"), ("", "code 0")],
)
def test_a_reader_that_somebody_ended(code: str, how: str) -> None:
    """When something else ends it nothing is said of the file: a later pass reads it."""
    tally = Tally()
    with pytest.raises(OSError, match=how):
        Readers(("-c", code)).read(b"x", TABLE, BEGIN + 600.0, tally)
    assert tally == Tally()


def test_a_reader_does_not_outlive_us(tmp_path: Path) -> None:
    """It ends with the process that started it, also after kill -9."""
    script = tmp_path / "one.py"
    script.write_text(
        "import time\nfrom tests.flowlogs.test_apart import *\n"
        "r = Readers()\nr.read(written(), TABLE, BEGIN + 600.0, Tally())\n"
        "print(r._idle[0]._process.pid, flush=True)\ntime.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.kill(pid, 0)
        process.send_signal(signal.SIGKILL)
    for _ in range(100):
        if not running(pid):
            return
        time.sleep(0.1)
    pytest.fail(f"process {pid} still runs")


def running(pid: int) -> bool:
    """Whether a process is there and no zombie, which nobody may be there to collect."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
