"""Lines counted by compiled code; what concerns an endpoint is then judged as everywhere.

The compiled code sorts the lines of a slice, reads the records that may concern an endpoint, and
puts them aside with their text. When many have come, `Records` judges them together.
"""

from __future__ import annotations

from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from exporter.flowlogs import columns
from exporter.flowlogs.block import Ints, Vocabulary
from exporter.flowlogs.formats import Format, header
from exporter.flowlogs.judge import CLOCKS_DIFFER
from exporter.flowlogs.native.library import (
    FULL,
    LETTER,
    MOST_ENDS,
    MOST_FIELDS,
    ODD_FULL,
    Found,
    Layout,
    Library,
    Tokens,
)
from exporter.flowlogs.records import Records, Sums
from exporter.flowlogs.slices import Slices
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import Tally

# How many records are judged together, how much text they have, and how many odd lines there may be
# before they are looked at.
ROOM, TEXT_ROOM, ODD_ROOM = 16_408, 2**21, 1024
# The columns of rows, as in scan.c.
(OWN, TARGET, SOURCE, REJECTED) = (0, 1, 1 + MOST_ENDS, 1 + 2 * MOST_ENDS)
_AFTER = 2 + 2 * MOST_ENDS
(START, END, PACKETS, SIZE, FLAGS, SOURCE_PORT, TARGET_PORT, PROTOCOL) = range(_AFTER, _AFTER + 8)
(LINE, LINE_LENGTH, FROM, FROM_LENGTH, TO, TO_LENGTH) = range(_AFTER + 8, _AFTER + 14)
COLUMNS = _AFTER + 14

_tokens: WeakKeyDictionary[Vocabulary, Tokens] = WeakKeyDictionary()


class Compiled:
    """Counts slices of lines that were delivered at that moment, in seconds."""

    # What a step of decompression yields.
    SLICE: ClassVar[int] = 200_000

    def __init__(self, library: Library, table: Table, delivered: float, tally: Tally) -> None:
        self._library = library
        self._table, self._delivered, self._tally = table, delivered, tally
        self._interfaces = _tokens_of(library, table.interfaces)
        self._addresses = _tokens_of(library, table.addresses)
        self._sums = Sums(table)
        self._rows = np.empty((COLUMNS, ROOM), np.int64)
        self._text = np.empty(TEXT_ROOM, np.uint8)
        self._odd = np.empty((ODD_ROOM, 2), np.int64)
        self._layout: Format | None = None
        self._positions = Layout()
        self._found = Found(
            *(array.ctypes.data for array in (self._rows, self._text, self._odd)),
            *(ROOM, TEXT_ROOM, ODD_ROOM),
            latest=int(min(delivered + CLOCKS_DIFFER, 2**62)),
        )
        self._rare: Slices | None = None

    def count(self, data: bytes, begin: int, end: int, layout: Format) -> int:
        """Count the whole lines of a part of the data; return where a header begins, or the end."""
        if len(layout.fields) > MOST_FIELDS:
            self._rare = self._rare or Slices(self._table, self._delivered, self._tally)
            return self._rare.count(data, begin, end, layout)
        if layout is not self._layout:
            self._judge()
            self._layout, self._positions = layout, _positions(layout)
        found = self._found
        while begin < end:
            begin = self._library.scan(
                *(data, begin, end, self._positions),
                *(self._interfaces.table, self._addresses.table, found),
            )
            for at, length in self._odd[: found.odd_count].tolist():
                self._one(data[at : at + length], layout)
            found.odd_count = 0
            if found.why == FULL:
                self._judge()
            elif found.why == LETTER:
                behind = data.index(b"\n", begin) + 1
                line = data[begin:behind]
                if header(line):
                    break
                self._one(line, layout)
                begin = behind
            elif found.why != ODD_FULL:
                break
        return begin

    def flush(self) -> None:
        """Move everything to the tally."""
        self._judge()
        found, line = self._found, self._tally.line
        flow_log_id = self._table.flow_log_id
        for result in ("other", "no_data", "skip_data"):
            line(flow_log_id, result, float(found.newest), getattr(found, result))
            setattr(found, result, 0)
        self._sums.flush(self._tally)
        if self._rare:
            self._rare.flush()

    def _one(self, line: bytes, layout: Format) -> None:
        text = line.rstrip(b"\r\n")
        columns.one(text, layout, self._table.judge, self._delivered, self._tally)

    def _judge(self) -> None:
        """Judge the records that have come since the last time."""
        found, layout = self._found, self._layout
        if not found.row_count or layout is None:
            return
        rows = self._rows[:, : found.row_count]
        text = self._text.data

        def sources(some: Ints, inbound: Ints) -> list[str]:
            to = inbound == 1
            begin = np.where(to, rows[FROM][some], rows[TO][some])
            length = np.where(to, rows[FROM_LENGTH][some], rows[TO_LENGTH][some])
            length[inbound < 0] = 0
            ends = (begin + length).tolist()
            return [str(text[a:b], "ascii") for a, b in zip(begin.tolist(), ends, strict=True)]

        records = Records(
            own=rows[OWN],
            ends=[
                *((True, rows[TARGET + i]) for i in range(len(layout.targets))),
                *((False, rows[SOURCE + i]) for i in range(len(layout.sources))),
            ],
            rejected=rows[REJECTED] != 0,
            start=rows[START],
            end=rows[END],
            packets=rows[PACKETS],
            size=rows[SIZE],
            flags=rows[FLAGS],
            source_port=rows[SOURCE_PORT],
            target_port=rows[TARGET_PORT],
            protocol=rows[PROTOCOL],
            sources=sources,
        )
        for row in np.flatnonzero(records.judge(self._table, self._delivered)).tolist():
            begin, length = int(rows[LINE, row]), int(rows[LINE_LENGTH, row])
            self._one(bytes(text[begin : begin + length]), layout)
        records.add(self._sums, self._tally)
        found.row_count = found.text_size = 0


def _positions(layout: Format) -> Layout:
    """Return a layout as the compiled code takes it."""
    runs = columns.runs(layout.numeric)
    found = Layout(len(layout.fields), len(runs))
    for i, (first, last) in enumerate(runs):
        found.first[i], found.last[i] = first, last
    for name in Layout.POSITIONS:
        position = getattr(layout, name)
        setattr(found, name, -1 if position is None else position)
    found.ends[:] = [*_padded(layout.targets), *_padded(layout.sources)]
    return found


def _padded(ends: tuple[int, ...]) -> tuple[int, ...]:
    return ends + (-1,) * (MOST_ENDS - len(ends))


def _tokens_of(library: Library, vocabulary: Vocabulary) -> Tokens:
    """Return a vocabulary as the compiled code takes it, made once for all files."""
    tokens = _tokens.get(vocabulary)
    if tokens is None:
        tokens = _tokens[vocabulary] = Tokens(library, vocabulary.tokens)
    return tokens
