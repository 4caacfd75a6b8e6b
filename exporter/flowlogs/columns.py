"""Whole slices of lines judged at once: the same verdicts as `judge.py`, by tables made from it.

Most lines are good ones of somebody else: a few passes over the bytes tell. The lines of endpoints
and of their clients are judged as arrays. Whatever is out of the ordinary, a line or a table's
entry, goes to `parse` and to the Judge one by one, so that there is one meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from exporter.flowlogs.block import EVERY, Block, Ints, Mask, word
from exporter.flowlogs.formats import Format
from exporter.flowlogs.judge import CLOCKS_DIFFER, Judge, Verdict
from exporter.flowlogs.parse import MILLISECONDS_FROM, Malformed, Record, parse, seconds
from exporter.flowlogs.records import Delivered, Records, Sums
from exporter.flowlogs.tally import Tally


@dataclass(slots=True)
class Sorted:
    """A block's lines by kind: good records, gaps, and rows of what has to be looked at."""

    block: Block
    good: Mask
    gaps: dict[str, Ints]
    odd: list[int]


def sort(block: Block, layout: Format) -> Sorted:
    """Return which lines are good records, which say that there is nothing, which are odd."""
    numeric = runs(layout.numeric)
    good = block.all_numbers(numeric, dashes=False)
    good &= _is_record(block, layout)
    gaps: dict[str, Ints] = {}
    odd: list[int] = []
    rest = np.flatnonzero(~good)
    if len(rest):
        # Gaps, and records with `-` where there may be one.
        some = block.take(rest)
        known = some.all_numbers(numeric, dashes=True)
        record = known & _is_record(some, layout)
        record &= ~some.is_dash(layout.start) & ~some.is_dash(layout.end)
        good[rest[record]] = True
        known &= ~record
        known &= some.begins_with(layout.interface_id, b"eni-") | some.equals(
            layout.interface_id, b"-"
        )
        for kind, gap in _gaps(some, layout):
            gaps[kind] = rest[known & gap]
            record |= known & gap
            known &= ~gap
        odd = rest[~record].tolist()
    return Sorted(block, good, gaps, odd)


def count(
    found: Sorted,
    layout: Format,
    sums: Sums,
    delivered: Delivered,
    tally: Tally,
    as_of: float = np.inf,
) -> list[int]:
    """Add a block's lines to sums and tally; return the rows that have to wait, not added.

    A line waits when it ended after `as_of`, in seconds; `delivered` is when the lines were, or
    when each was.
    """
    block, good, gaps, odd = found.block, found.good, found.gaps, found.odd
    table = sums.table
    judge, flow_log_id = table.judge, table.flow_log_id
    waiting: list[int] = []
    told = good.copy()
    for rows in gaps.values():
        told[rows] = ~block.is_dash(layout.end, rows)
    if as_of != np.inf:
        ends = _seconds(block.numbers(layout.end))
        waits = told & (ends > as_of) & (ends <= np.asarray(delivered) + CLOCKS_DIFFER)
        waiting = np.flatnonzero(waits).tolist()
        good, told = good & ~waits, told & ~waits
        gaps = {kind: rows[~waits[rows]] for kind, rows in gaps.items()}
    for row in odd:
        text = block.line(row).rstrip(b"\r\n")
        if not one(text, layout, judge, _moment(delivered, row), tally, as_of):
            waiting.append(row)
    for kind, rows in gaps.items():
        tally.line(flow_log_id, kind, None, len(rows))
    tally.line(flow_log_id, "other", _newest(block, layout, told, delivered), 0)
    concerned = _concerned(block, layout, sums, good, delivered, tally)
    tally.line(flow_log_id, "other", None, int(np.count_nonzero(good)) - concerned)
    return waiting


def _moment(delivered: Delivered, row: int) -> float:
    return delivered if isinstance(delivered, float) else float(delivered[row])


def _newest(block: Block, layout: Format, told: Mask, delivered: Delivered) -> float | None:
    """Return the latest end, in seconds, of the lines that tell one that can be."""
    rows = np.flatnonzero(told)
    if not len(rows):
        return None
    at = block.largest(layout.end, EVERY if len(rows) == block.height else rows)
    if at is not None:
        newest = seconds(block.token(layout.end, int(rows[at])))
        if newest is not None and newest <= _moment(delivered, int(rows[at])) + CLOCKS_DIFFER:
            return newest
    ends = _seconds(block.numbers(layout.end))
    possible = ends[told & (ends >= 0) & (ends <= np.asarray(delivered) + CLOCKS_DIFFER)]
    return float(possible.max()) if len(possible) else None


def one(
    text: bytes, layout: Format, judge: Judge, delivered: float, tally: Tally, as_of: float = np.inf
) -> bool:
    """Add a line by itself; return whether it was, and has not to wait for a later index."""
    try:
        line = parse(text.decode(), layout)
    except UnicodeDecodeError:
        line = Malformed("not UTF-8")
    if isinstance(line, Malformed):
        tally.malformed(judge.flow_log_ids[0], line, text.decode("utf-8", "backslashreplace"))
        return True
    latest = delivered + CLOCKS_DIFFER
    if line.end is not None and as_of < line.end <= latest:
        return False
    if isinstance(line, Record):
        tally.add(line, judge.verdict(line, delivered), latest, text.decode())
    else:
        tally.add(line, Verdict(judge.flow_log_ids[0], line.kind), latest)
    return True


def runs(columns: Iterable[int]) -> list[tuple[int, int]]:
    """Return columns that stand side by side as first and last."""
    found: list[tuple[int, int]] = []
    for column in columns:
        if found and found[-1][1] == column - 1:
            found[-1] = (found[-1][0], column)
        else:
            found.append((column, column))
    return found


_ACCEPT, _REJECT = word(b"ACCEPT"), word(b"REJECT")
_SIX = word(b"\xff" * 6)


def _is_record(block: Block, layout: Format) -> Mask:
    """Return which lines are of an interface, accepted or rejected, and not a gap."""
    action = block.at(block.begin(layout.action)) & _SIX
    good: Mask = (action == _ACCEPT) | (action == _REJECT)
    good &= block.length(layout.action) == 6
    if layout.log_status is not None:
        good &= block.equals(layout.log_status, b"OK")
    good &= block.begins_with(layout.interface_id, b"eni-")
    return good


def _gaps(block: Block, layout: Format) -> list[tuple[str, Mask]]:
    if layout.log_status is None:
        return [("no_data", block.equals(layout.action, b"-"))]
    return [
        ("skip_data", block.equals(layout.log_status, b"SKIPDATA")),
        ("no_data", block.equals(layout.log_status, b"NODATA")),
    ]


def _seconds(stamps: Ints) -> Ints:
    return np.where(stamps >= MILLISECONDS_FROM, stamps // 1000, stamps)


def _concerned(
    block: Block, layout: Format, sums: Sums, good: Mask, delivered: Delivered, tally: Tally
) -> int:
    """Add the records of endpoints and their clients; return how many lines that are."""
    table = sums.table
    own = table.interfaces.find(block, layout.interface_id)
    ends = [
        (inbound, table.addresses.find(block, column))
        for inbound, columns in ((True, layout.targets), (False, layout.sources))
        for column in columns
    ]
    touched = own >= 0
    for _, found in ends:
        touched |= found >= 0
    rows = np.flatnonzero(touched & good)
    if not len(rows):
        return 0

    def numbers(column: int | None) -> Ints:
        if column is None:
            return np.full(len(rows), -1, np.int64)
        return block.numbers(column, rows)

    def sources(some: Ints, inbound: Ints) -> list[str]:
        return [
            source(int(rows[i]), layout.sources if way else layout.targets) if way >= 0 else ""
            for i, way in zip(some.tolist(), inbound.tolist(), strict=True)
        ]

    def source(row: int, among: Sequence[int]) -> str:
        tokens = (block.token(column, row) for column in reversed(among))
        return next((address for address in tokens if address != "-"), "")

    records = Records(
        own=own[rows],
        ends=[(inbound, found[rows]) for inbound, found in ends],
        rejected=block.bytes[block.begin(layout.action, rows)] == ord("R"),
        start=_seconds(numbers(layout.start)),
        end=_seconds(numbers(layout.end)),
        packets=numbers(layout.packets),
        size=numbers(layout.bytes),
        flags=numbers(layout.tcp_flags),
        source_port=numbers(layout.source_port),
        target_port=numbers(layout.target_port),
        protocol=numbers(layout.protocol),
        sources=sources,
    )
    moment = delivered if isinstance(delivered, float) else delivered[rows]
    for i in np.flatnonzero(records.judge(table, moment)).tolist():
        text = block.line(int(rows[i])).rstrip(b"\r\n")
        one(text, layout, table.judge, _moment(moment, i), tally)
    records.add(sums, tally)
    return len(rows)
