"""Lines counted by compiled code.

The compiled code sorts the lines of a slice and decides about the records among them. What is not
plain, or what only the Judge can tell, it names, and that is read line by line.
"""

from __future__ import annotations

from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from exporter.flowlogs import columns
from exporter.flowlogs.block import Vocabulary
from exporter.flowlogs.formats import Format, header
from exporter.flowlogs.judge import CLOCKS_DIFFER
from exporter.flowlogs.native.ledger import Counted, verdicts
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
from exporter.flowlogs.slices import Slices
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import Tally

# How many odd lines there may be before they are looked at.
ODD_ROOM = 1024

_tokens: WeakKeyDictionary[Vocabulary, Tokens] = WeakKeyDictionary()


class Compiled:
    """Counts slices of lines that were delivered at that moment, in seconds."""

    # What a step of decompression yields.
    SLICE: ClassVar[int] = 200_000

    def __init__(self, library: Library, table: Table, delivered: float, tally: Tally) -> None:
        self._library = library
        self._table, self._delivered, self._tally = table, delivered, tally
        self._interfaces = tokens_of(library, table.interfaces)
        self._addresses = tokens_of(library, table.addresses)
        self._verdicts = verdicts(table, delivered)
        self._odd = np.empty((ODD_ROOM, 2), np.int64)
        self._layout: Format | None = None
        self._positions = Layout()
        self._found = Found(
            odd=self._odd.ctypes.data,
            odd_room=ODD_ROOM,
            latest=int(min(delivered + CLOCKS_DIFFER, 2**62)),
        )
        self._counted = Counted(table, self._found.ledger)
        self._rare: Slices | None = None

    def count(self, data: bytes, begin: int, end: int, layout: Format) -> int:
        """Count the whole lines of a part of the data; return where a header begins, or the end."""
        if len(layout.fields) > MOST_FIELDS:
            self._rare = self._rare or Slices(self._table, self._delivered, self._tally)
            return self._rare.count(data, begin, end, layout)
        if layout is not self._layout:
            self._layout, self._positions = layout, _positions(layout)
        found = self._found
        while begin < end:
            begin = self._library.scan(
                *(data, begin, end, self._positions, self._interfaces.table),
                *(self._addresses.table, self._verdicts, found),
            )
            for at, length in self._odd[: found.odd_count].tolist():
                self._one(data[at : at + length], layout)
            found.odd_count = 0
            if found.why == FULL:
                self._counted.make_room(self._tally)
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
        found, line = self._found, self._tally.line
        flow_log_id = self._table.flow_log_id
        self._counted.flush(self._tally)
        line(flow_log_id, "other", float(found.newest), 0)
        for result in ("no_data", "skip_data"):
            line(flow_log_id, result, None, getattr(found, result))
            setattr(found, result, 0)
        if self._rare:
            self._rare.flush()

    def _one(self, line: bytes, layout: Format) -> None:
        text = line.rstrip(b"\r\n")
        columns.one(text, layout, self._table.judge, self._delivered, self._tally)


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


def tokens_of(library: Library, vocabulary: Vocabulary) -> Tokens:
    """Return a vocabulary as the compiled code takes it, made once for all files."""
    tokens = _tokens.get(vocabulary)
    if tokens is None:
        tokens = _tokens[vocabulary] = Tokens(library, vocabulary.tokens)
    return tokens
