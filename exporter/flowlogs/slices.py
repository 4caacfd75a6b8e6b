"""Slices of lines counted by NumPy: what the compiled code does, where there is none.

See `kernel.py`, which chooses, and `columns.py`, which does the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np

from exporter.flowlogs import columns
from exporter.flowlogs.block import Block, Ints
from exporter.flowlogs.formats import Format, header
from exporter.flowlogs.records import Sums
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import Tally

# A slice of good lines has fewer, one of blank lines a hundred times as many.
MOST_LINES = 50_000
_NEAR = 65_536


class Slices:
    """Counts slices of lines that were delivered at that moment, in seconds."""

    # What fits the processor's cache.
    SLICE: ClassVar[int] = 1_000_000

    def __init__(self, table: Table, delivered: float, tally: Tally) -> None:
        self._sums = Sums(table)
        # Whether a header was among the last lines.
        self._turning = False
        self._delivered = delivered
        self._tally = tally

    def count(self, data: bytes, begin: int, end: int, layout: Format) -> int:
        """Count whole lines of a part of the data; return where what is left begins, or the end.

        That is where a header begins, or what is too much at a time.
        """
        end = self._upto(data, begin, end)
        lines = data[begin:end].replace(b"\r\n", b"\n")
        parts = split(lines, len(layout.fields))
        found = columns.sort(parts.block, layout) if parts.block else None
        odd = [found.block.line(row) for row in found.odd] if found else []
        others = list(parts.others.values())
        turns = [text for text in (*others, *odd) if header(text)]
        self._turning = bool(turns)
        if turns:
            before = lines.count(b"\n", 0, min(_line_at(lines, text) for text in turns))
            end = _behind(data, begin, before)
            # What is behind a header is read by it.
            return self.count(data, begin, end, layout) if before else end
        if found:
            columns.count(found, layout, self._sums, self._delivered, self._tally)
        for text in others:
            line = text.rstrip(b"\r\n")
            columns.one(line, layout, self._sums.table.judge, self._delivered, self._tally)
        return end

    def _upto(self, data: bytes, begin: int, end: int) -> int:
        """Return the end of as many lines as are looked at at a time.

        Where there are headers all behind the next one is looked at again.
        """
        if self._turning:
            end = data.find(b"\n", min(begin + _NEAR, end - 1)) + 1
        if data.count(b"\n", begin, end) > MOST_LINES:
            end = _behind(data, begin, MOST_LINES)
        return end

    def flush(self) -> None:
        """Move everything to the tally."""
        self._sums.flush(self._tally)


def _line_at(lines: bytes, line: bytes) -> int:
    """Return where a line begins that is among the lines."""
    if lines.startswith(line):
        return 0
    return lines.index(b"\n" + line) + 1


def _behind(data: bytes, begin: int, lines: int) -> int:
    """Return where so many lines end."""
    for _ in range(lines):
        begin = data.index(b"\n", begin) + 1
    return begin


class Split(NamedTuple):
    """Lines that have exactly the fields, and by number those that have not.

    `rows` are the numbers of the block's lines among all; None where it has all of them.
    """

    block: Block | None
    rows: Ints | None
    others: Mapping[int, bytes]


def split(lines: bytes, fields: int) -> Split:
    """Return the lines that have so many fields, and those that have not.

    Nor are those with control characters, empty fields or bytes that are not UTF-8 among the first.
    """
    whole = _is_utf8(lines)
    block = Block.of(lines, fields) if whole else None
    if block:
        return Split(block, None, {})
    at = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(at == 10)
    begins = np.concatenate(([0], ends[:-1] + 1))
    separators = at <= 32
    strange = (at < 32) & (at != 10)
    strange[0] |= separators[0]
    strange[1:] |= separators[1:] & separators[:-1]
    good = np.add.reduceat(at == 32, begins, dtype=np.int64) == fields - 1
    good &= ~np.logical_or.reduceat(strange, begins)
    texts = [lines[a : b + 1] for a, b in zip(begins.tolist(), ends.tolist(), strict=True)]
    if not whole:
        good &= np.array([_is_utf8(text) for text in texts])
    rows = np.flatnonzero(good)
    regular = b"".join(texts[i] for i in rows.tolist())
    others = {i: texts[i] for i in np.flatnonzero(~good).tolist()}
    return Split(Block.of(regular, fields) if regular else None, rows, others)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
