"""Files of flow logs for the tests: records as lines, and what reading a file gives."""

from __future__ import annotations

import gzip
from collections.abc import Iterable

from exporter.flowlogs.formats import DEFAULT, Format, from_log_format
from exporter.flowlogs.judge import Judge
from exporter.flowlogs.parse import Record
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import LINES, Tally
from exporter.flowlogs.text import SMALL_STEP, STEP, CorruptFile, Reader
from tests.flowlogs.judges import BEGIN, make_judge

DELIVERED = BEGIN + 600.0
V2 = from_log_format(DEFAULT)
HEADER = (" ".join(V2.fields) + "\n").encode()


def line(port: int = 49152, action: str = "ACCEPT", eni: str = "eni-0a1", size: int = 840) -> bytes:
    """Return a line of the default format, of an endpoint's interface."""
    return (
        f"2 111122223333 {eni} 10.2.0.5 10.1.0.10 {port} 443 6 10 {size} "
        f"{BEGIN} {BEGIN + 60} {action} OK\n"
    ).encode()


def some_lines(number: int) -> bytes:
    """Return so many different lines of an endpoint's interface."""
    return b"".join(line(i % 65536, "REJECT" if i % 3 else "ACCEPT") for i in range(number))


def read(
    data: bytes | Iterable[bytes],
    layout: Format | None = V2,
    step: int = STEP,
    judge: Judge | None = None,
) -> tuple[Tally, str | None]:
    """Return what a file adds up to, and its problem; read anew when it is corrupt."""
    chunks = [data] if isinstance(data, bytes) else list(data)
    for size in (step, SMALL_STEP):
        tally = Tally()
        reader = Reader(Table(judge or make_judge()), DELIVERED, tally, layout)
        try:
            reader.read(chunks, size)
        except CorruptFile:
            continue
        return tally, reader.problem
    raise AssertionError("small steps raise nothing")


def lines_of(tally: Tally) -> dict[str, int]:
    """Return the number of lines of each fate."""
    return {k.label: n for k, n in tally.counters.items() if k.name == LINES and n}


def total(tally: Tally) -> object:
    """Return all that a tally says, to be compared; not which of the malformed lines came first."""
    rejected = {k: (sketch.error, sketch.counts) for k, sketch in tally.rejected.items()}
    counters = {k: n for k, n in tally.counters.items() if n}
    return counters, tally.newest, rejected, tally.recent, tally.accepted


def packed(*members: bytes) -> bytes:
    """Return a gzip file of several members."""
    return b"".join(gzip.compress(member, mtime=0) for member in members)


RICH_V3 = from_log_format(DEFAULT + " ${tcp-flags} ${pkt-srcaddr} ${pkt-dstaddr}")


def as_line(record: Record) -> bytes:
    """Return a record as a line of RICH_V3."""

    def address(ends: tuple[str, ...], at: int) -> object:
        return ends[at] if at < len(ends) else None

    tokens = (
        *(2, "111122223333", record.interface_id),
        *(address(record.sources, 0), address(record.targets, 0)),
        *(record.source_port, record.target_port, record.protocol, record.packets, record.bytes),
        *(record.start, record.end, record.action, "OK", record.tcp_flags),
        *(address(record.sources, 1), address(record.targets, 1)),
    )
    return (" ".join("-" if token is None else str(token) for token in tokens) + "\n").encode()
