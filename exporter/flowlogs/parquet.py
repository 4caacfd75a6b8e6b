"""A Parquet file of flow-log records, read column by column.

AWS names the columns as the fields, with underscores, and gives numbers their types:
https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from exporter.flowlogs.block import Ints, Mask, Words
from exporter.flowlogs.formats import NEEDED
from exporter.flowlogs.judge import CLOCKS_DIFFER
from exporter.flowlogs.parse import MILLISECONDS_FROM, Line, Malformed, Record
from exporter.flowlogs.records import Records, Sums
from exporter.flowlogs.table import Indexes, Table
from exporter.flowlogs.tally import Tally

# So many rows are in memory at once.
ROWS = 100_000
_NUMBERS = {
    "srcport": "source_port",
    "dstport": "target_port",
    "protocol": "protocol",
    "packets": "packets",
    "bytes": "size",
    "start": "start",
    "end": "end",
    "tcp_flags": "flags",
}
_SOURCES, _TARGETS = ("srcaddr", "pkt_srcaddr"), ("dstaddr", "pkt_dstaddr")
# polars panics on some corrupt pages, and that is no Exception.
_BROKEN = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
_TEXTS = ("interface_id", "action", "log_status", *_SOURCES, *_TARGETS)


def read(data: bytes, table: Table, delivered: float, tally: Tally) -> str | None:
    """Count a file's rows; return what is wrong with the file, or None.

    A file that is no Parquet, or whose columns cannot be counted, is one malformed line, or as many
    as it has rows.
    """
    try:
        frame = pl.scan_parquet(io.BytesIO(data))
        schema = frame.collect_schema()
        height = frame.select(pl.len()).collect().item()
        missing = [name for name in NEEDED if name.replace("-", "_") not in schema]
        if missing:
            problem = f"unknown layout: the columns lack {', '.join(missing)}"
            tally.malformed(table.flow_log_id, Malformed(problem), ", ".join(schema), height)
            return problem
        sums = Sums(table)
        part = Tally()
        columns = [*(_number(n, schema) for n in _NUMBERS), *(_text(n, schema) for n in _TEXTS)]
        for first in range(0, height, ROWS):
            _count(frame.slice(first, ROWS).select(columns).collect(), sums, delivered, part)
        sums.flush(part)
    except (*_BROKEN, OSError) as error:
        # Nothing of it is counted: what was read before it broke is not in the tally.
        problem = f"broken Parquet: {(str(error) or type(error).__name__).splitlines()[0][:200]}"
        tally.malformed(table.flow_log_id, Malformed(problem), "")
        return problem
    tally.merge(part)
    return None


def _number(name: str, schema: pl.Schema) -> pl.Expr:
    """Return a column of numbers: null where there is none or what is there is none."""
    if name not in schema:
        return pl.lit(None, pl.Int64).alias(name)
    # Nobody counts with fractions; a text is read as the number it spells, a negative one is none.
    number = pl.col(name).cast(pl.Int64, strict=False)
    return pl.when(number >= 0).then(number).alias(name)


def _text(name: str, schema: pl.Schema) -> pl.Expr:
    if name not in schema:
        return pl.lit(None, pl.String).alias(name)
    return pl.col(name).cast(pl.String, strict=False)


def _count(frame: pl.DataFrame, sums: Sums, delivered: float, tally: Tally) -> None:
    """Add rows to sums and tally."""
    flow_log_id, latest = sums.table.flow_log_id, delivered + CLOCKS_DIFFER
    for name in ("start", "end"):
        largest: Any = frame[name].max()
        if largest is not None and largest >= MILLISECONDS_FROM:
            stamp = pl.col(name)
            seconds = pl.when(stamp >= MILLISECONDS_FROM).then(stamp // 1000).otherwise(stamp)
            frame = frame.with_columns(seconds.alias(name))
    interface, status, action = pl.col("interface_id"), pl.col("log_status"), pl.col("action")
    told = frame["log_status"].null_count() < frame.height
    # What is not there is null, or `-`.
    shaped = interface.str.starts_with("eni-") | (interface == "-") | interface.is_null()
    nothing = status == "NODATA" if told else (action == "-") | action.is_null()
    skip = shaped & (status == "SKIPDATA") if told else pl.lit(False)
    gap = shaped & nothing
    good = shaped & ((action == "ACCEPT") | (action == "REJECT"))
    good &= (pl.col("start") >= 0) & (pl.col("end") >= 0)
    if told:
        good &= status == "OK"
    kinds = frame.select(
        good=good.fill_null(False),
        gap=gap.fill_null(False),
        skip=skip.fill_null(False),
        end=pl.col("end"),
    )
    gaps, skips = int(kinds["gap"].sum()), int(kinds["skip"].sum())
    tally.line(flow_log_id, "no_data", None, gaps)
    tally.line(flow_log_id, "skip_data", None, skips)
    goods = int(kinds["good"].sum())
    malformed = frame.height - goods - gaps - skips
    if malformed:
        first = frame.filter(~(kinds["good"] | kinds["gap"] | kinds["skip"])).row(0, named=True)
        why = Malformed("a row without interface, action, start or end that can be")
        tally.malformed(flow_log_id, why, str(first), malformed)
    tells = kinds["good"] | kinds["gap"] | kinds["skip"]
    newest: Any = kinds.filter(tells & (kinds["end"] <= latest))["end"].max()
    tally.line(flow_log_id, "other", None if newest is None else float(newest), 0)
    concerned = _concerned(frame, kinds["good"], sums, delivered, tally)
    tally.line(flow_log_id, "other", None, goods - concerned)


class _Hashes:
    """Which texts may be among some tokens: all that are, and a few that are not."""

    _BITS = 18

    def __init__(self, tokens: Sequence[str]) -> None:
        self._there = np.zeros(1 << self._BITS, np.bool_)
        self._there[self._slots(pl.Series(tokens, dtype=pl.String))] = True

    def among(self, texts: pl.Series) -> Mask:
        """Return which texts may be."""
        found: Mask = self._there[self._slots(texts)]
        return found

    def _slots(self, texts: pl.Series) -> Words:
        # Null has a hash like any text.
        slots: Words = texts.hash().to_numpy() >> np.uint64(64 - self._BITS)
        return slots


def _numbers_in(texts: pl.Series, tokens: Sequence[str]) -> Indexes:
    """Return which token each text is, -1 for none."""
    if not tokens:
        return np.full(len(texts), -1, np.int32)
    found = texts.cast(pl.Enum(tokens), strict=False).to_physical().cast(pl.Int32)
    return found.fill_null(-1).to_numpy()


def _concerned(
    frame: pl.DataFrame, good: pl.Series, sums: Sums, delivered: float, tally: Tally
) -> int:
    """Add the records of endpoints and their clients; return how many rows were looked at."""
    table = sums.table
    interfaces, addresses = table.interfaces.tokens, table.addresses.tokens
    ends = [(n, True) for n in _TARGETS] + [(n, False) for n in _SOURCES]
    ends = [(n, inbound) for n, inbound in ends if frame[n].null_count() < frame.height]
    touched = _Hashes(interfaces).among(frame["interface_id"])
    known = _Hashes(addresses)
    for name, _ in ends:
        touched |= known.among(frame[name])
    rows = frame.filter(good & pl.Series(touched))
    if not rows.height:
        return 0

    def sources(some: Ints, inbound: Ints) -> list[str]:
        chosen = rows[some.tolist()]
        names = {1: _SOURCES, 0: _TARGETS, -1: ()}
        of = {name: chosen[name].to_list() for name in (*_SOURCES, *_TARGETS)}
        return [
            next((of[n][i] for n in reversed(names[way]) if of[n][i] not in (None, "-")), "")
            for i, way in enumerate(inbound.tolist())
        ]

    def numbers(name: str) -> Ints:
        return rows[name].fill_null(-1).to_numpy().astype(np.int64, copy=False)

    records = Records(
        own=_numbers_in(rows["interface_id"], interfaces),
        ends=[(inbound, _numbers_in(rows[n], addresses)) for n, inbound in ends],
        rejected=(rows["action"] == "REJECT").to_numpy(),
        sources=sources,
        **{as_: numbers(name) for name, as_ in _NUMBERS.items()},
    )
    for i in np.flatnonzero(records.judge(table, delivered)).tolist():
        record = _record(rows.row(i, named=True))
        tally.add(record, table.judge.verdict(record, delivered), delivered + CLOCKS_DIFFER)
    records.add(sums, tally)
    return rows.height


def _record(row: dict[str, object]) -> Record:
    """Return a row as the Judge takes it."""

    def texts(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in names if row[name] is not None)

    numbers = {as_: row[name] for name, as_ in _NUMBERS.items()}
    line: Line = Record(
        str(row["interface_id"] or "-"),
        "ACCEPT" if row["action"] == "ACCEPT" else "REJECT",
        bytes=numbers.pop("size"),  # type: ignore[arg-type]  # null or a number
        tcp_flags=numbers.pop("flags"),  # type: ignore[arg-type]
        sources=texts(_SOURCES),
        targets=texts(_TARGETS),
        **numbers,  # type: ignore[arg-type]
    )
    assert isinstance(line, Record)
    return line
