"""Which code reads flow logs: the compiled one where it was built, NumPy and polars otherwise.

Both decide the same: `tests/flowlogs/test_columns.py` holds each to the Judge, line by line, and
`tests/flowlogs/test_pages.py` what reads Parquet to the other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal, Protocol, TypeAlias

from exporter.flowlogs.formats import Format
from exporter.flowlogs.native import rows
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


# Makes what counts lines into a tally; the number is when they were delivered, in seconds.
Kernel: TypeAlias = Callable[[Table, float, Tally], Lines]


def name() -> Literal["native", "numpy"]:
    """Return which code reads lines."""
    return "native" if LIBRARY else "numpy"


def chosen() -> Kernel:
    """Return the code that reads lines."""
    return partial(Compiled, LIBRARY) if LIBRARY else Slices


def parquet(data: bytes, table: Table, delivered: float) -> Tally | None:
    """Return what is in a Parquet file; None where the compiled code cannot tell."""
    return rows.count(LIBRARY, data, table, delivered) if LIBRARY else None
