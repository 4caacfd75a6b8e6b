"""Parquet counted by compiled code, in this process: what AWS writes, and no more.

What is not as plain as flow logs are (`Odd`) is left to `parquet.py`, from the beginning: it says
what is wrong with a file.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from isal import igzip_lib

from exporter.flowlogs.formats import NEEDED
from exporter.flowlogs.judge import CLOCKS_DIFFER
from exporter.flowlogs.native.ledger import Counted, verdicts
from exporter.flowlogs.native.library import Library, Rows
from exporter.flowlogs.native.lines import tokens_of
from exporter.flowlogs.native.pages import (
    NUMBERS,
    TEXTS,
    Cursor,
    Numbers,
    Odd,
    Source,
    Texts,
    Values,
)
from exporter.flowlogs.parse import Malformed, Record
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import Tally

# In so many rows at least one has to have a status, where there is one: as `parquet.py` has it.
ROWS = 100_000
# How many bytes are held at a time, and how many rows are counted without asking for how long.
MOST_HELD, MOST_ROWS = 96 * 1024**2, 2**28
# Nothing else runs while a description is read.
MOST_DESCRIPTION = 8 * 1024**2
_COLUMNS_ROOM, _CHUNKS_ROOM = 256, 65_536
_ASIDE = 1 + len(NUMBERS) + 2 * len(TEXTS)
_ASIDE_ROOM, _ASIDE_TEXT_ROOM = 4096, 2**20
_MAGIC = b"PAR1"


def count(library: Library, data: bytes, table: Table, delivered: float) -> Tally | None:
    """Return what is in a file; None where it is odd, and `parquet.py` has to read it."""
    try:
        return _File(library, data, table, delivered).count()
    except (Odd, igzip_lib.error):  # type: ignore[misc]  # isal has no stubs for it
        return None


class _File:
    """One file, while it is counted."""

    def __init__(self, library: Library, data: bytes, table: Table, delivered: float) -> None:
        interfaces = tokens_of(library, table.interfaces)
        addresses = tokens_of(library, table.addresses)
        self._source = Source(library, data, interfaces, addresses)
        self._library, self._columns = library, self._source.columns
        self._cursors: list[Cursor] = []
        self._table, self._delivered, self._tally = table, delivered, Tally()
        self._verdicts = verdicts(table, delivered)
        self._aside = np.empty((_ASIDE_ROOM, _ASIDE), np.int64)
        self._text = np.empty(_ASIDE_TEXT_ROOM, np.uint8)
        self._rows = Rows(
            aside=self._aside.ctypes.data,
            text=self._text.ctypes.data,
            aside_room=_ASIDE_ROOM,
            text_room=_ASIDE_TEXT_ROOM,
            latest=int(min(delivered + CLOCKS_DIFFER, 2**62)),
        )
        self._counted = Counted(table, self._rows.ledger)
        self._nothing: list[Values] = []
        self._step = 0

    def count(self) -> Tally:
        """Return what is in it; raises Odd."""
        groups = self._begin()
        for parts in groups:
            for cursor in self._cursors:
                cursor.open(parts[cursor.at])
            self._group(parts[0][0])
            for cursor in self._cursors:
                cursor.close()
        self._check_step()
        self._flush()
        return self._tally

    def _begin(self) -> list[list[list[int]]]:
        """Make the cursors; return the parts of all columns by row group."""
        data = self._source.data
        length = int.from_bytes(data[-8:-4], "little")
        begin = len(data) - 8 - length
        if not data.startswith(_MAGIC) or not data.endswith(_MAGIC) or begin < len(_MAGIC):
            raise Odd("no Parquet")
        if length > MOST_DESCRIPTION:
            raise Odd("a long description")
        schema = np.empty((_COLUMNS_ROOM, 5), np.int64)
        chunks = np.empty((_CHUNKS_ROOM, 4), np.int64)
        counts = (ctypes.c_int64 * 3)()
        if not self._library.footer(
            *(data, begin, len(data) - 8, schema.ctypes.data, _COLUMNS_ROOM),
            *(chunks.ctypes.data, _CHUNKS_ROOM, counts),
        ):
            raise Odd("a description")
        columns, groups, height = counts
        if height > MOST_ROWS:
            raise Odd(f"{height} rows")
        described = schema[:columns].tolist()
        names = [data[row[0] : row[0] + row[1]] for row in described]
        place = {name: i for i, name in enumerate(names)}
        if len(place) < len(names) or any(
            name.replace("-", "_").encode() not in place for name in NEEDED
        ):
            raise Odd("columns that are missing, or there twice")
        for role, name in enumerate((*TEXTS, *NUMBERS)):
            at = place.get(name.encode())
            if at is None:
                self._lacks(role)
            else:
                self._cursors.append(Cursor(self._source, role, described[at], at))
        found: list[list[list[int]]] = (
            chunks[: groups * columns].reshape(groups, columns, 4).tolist()
        )
        return found

    def _lacks(self, role: int) -> None:
        """Give the compiled code a column that has no value in any row."""
        empty = np.empty(0, np.uint8)
        nothing: Values
        if role < len(TEXTS):
            nothing = Texts(self._source, empty, 0, 0, role)
        else:
            nothing = Numbers(self._source, empty, 0, 0, 8, "")
        nothing.show(self._columns.of[role])
        # For as long as the compiled code has it.
        self._nothing.append(nothing)

    def _group(self, left: int) -> None:
        """Count the rows of a row group."""
        while left:
            for cursor in self._cursors:
                if not cursor.struct.left:
                    cursor.turn()
                    if sum(cursor.held for cursor in self._cursors) > MOST_HELD:
                        raise Odd("more than is held at a time")
            some = min(left, ROWS - self._step)
            done = self._library.rows(self._columns, some, self._verdicts, self._rows)
            if done < 0:
                raise Odd("values")
            left -= done
            self._step += done
            if self._step == ROWS:
                self._check_step()
            if done < some:
                self._make_room()

    def _check_step(self) -> None:
        """Make sure that a column of statuses has one: else it is as if there were none."""
        if self._step and self._columns.of[TEXTS.index("log_status")].there and not self._rows.told:
            raise Odd("no status")
        self._step = self._rows.told = 0

    def _make_room(self) -> None:
        """Move to the tally what takes room."""
        self._counted.make_room(self._tally)
        rows = self._rows
        if not rows.aside_count:
            return
        text = self._text[: rows.text_size].tobytes().decode("ascii")
        for malformed, *values in self._aside[: rows.aside_count].tolist():
            numbers, places = values[: len(NUMBERS)], values[len(NUMBERS) :]
            spans = zip(places[::2], places[1::2], strict=True)
            texts = [text[begin : begin + n] if n >= 0 else None for begin, n in spans]
            row: dict[str, Any] = {
                name: None if number < 0 else number
                for name, number in zip(NUMBERS, numbers, strict=True)
            }
            row |= zip(TEXTS, texts, strict=True)
            if malformed:
                why = Malformed("a row without interface, action, start or end that can be")
                self._tally.malformed(self._table.flow_log_id, why, str(row), 0)
            else:
                self._one(row)
        rows.aside_count = rows.text_size = 0

    def _one(self, row: dict[str, Any]) -> None:
        """Add a row by itself."""

        def texts(*names: str) -> tuple[str, ...]:
            return tuple(row[name] for name in names if row[name] is not None)

        record = Record(
            row["interface_id"] or "-",
            row["action"],
            row["start"],
            row["end"],
            row["packets"],
            row["bytes"],
            row["tcp_flags"],
            row["protocol"],
            row["srcport"],
            row["dstport"],
            texts("srcaddr", "pkt_srcaddr"),
            texts("dstaddr", "pkt_dstaddr"),
        )
        verdict = self._table.judge.verdict(record, self._delivered)
        self._tally.add(record, verdict, self._delivered + CLOCKS_DIFFER)

    def _flush(self) -> None:
        """Move everything to the tally."""
        self._make_room()
        self._counted.flush(self._tally)
        flow_log_id, rows = self._table.flow_log_id, self._rows
        for result in ("no_data", "skip_data", "malformed"):
            self._tally.line(flow_log_id, result, None, getattr(rows, result))
        self._tally.line(flow_log_id, "other", float(rows.newest), 0)
