"""Which code reads lines: the compiled one where it was built, NumPy otherwise.

Both decide the same: `tests/flowlogs/test_columns.py` holds each to the Judge, line by line.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol

from exporter.flowlogs.formats import Format
from exporter.flowlogs.native.library import LIBRARY
from exporter.flowlogs.native.lines import Compiled
from exporter.flowlogs.slices import Slices
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import Tally


class Lines(Protocol):
    """Counts lines that were delivered at the same moment, of one layout or of several."""

    # How many bytes are best counted at once.
    SLICE: ClassVar[int]

    def count(self, data: bytes, begin: int, end: int, layout: Format) -> int:
        """Count the whole lines of a part of the data; return where a header begins, or the end."""

    def flush(self) -> None:
        """Move to the tally what is not there yet."""


def name() -> Literal["native", "numpy"]:
    """Return which code reads lines."""
    return "native" if LIBRARY else "numpy"


def lines(table: Table, delivered: float, tally: Tally) -> Lines:
    """Return what counts lines into a tally; `delivered` is when they were, in seconds."""
    if LIBRARY:
        return Compiled(LIBRARY, table, delivered, tally)
    return Slices(table, delivered, tally)
