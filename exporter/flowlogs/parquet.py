"""A Parquet file of flow-log records, read column by column.

AWS names the columns as the fields, with underscores, and gives numbers their types:
https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import polars as pl

from exporter.flowlogs.block import Ints
from exporter.flowlogs.formats import NEEDED, UnusableFormat
from exporter.flowlogs.judge import CLOCKS_DIFFER
from exporter.flowlogs.parse import MILLISECONDS_FROM, Line, Malformed, Record
from exporter.flowlogs.records import Records, Sums
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import Tally

# So many rows are in memory at once.
ROWS = 500_000
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
    except (pl.exceptions.PolarsError, OSError, UnusableFormat) as error:
        # Nothing of it is counted: what was read before it broke is not in the tally.
        problem = f"broken Parquet: {str(error).splitlines()[0][:200]}"
        tally.malformed(table.flow_log_id, Malformed(problem), "")
        return problem
    tally.merge(part)
    return None


def _number(name: str, schema: pl.Schema) -> pl.Expr:
    """Return a column of numbers: null where there is none or what is there is none."""
    if name not in schema:
        return pl.lit(None, pl.Int64).alias(name)
    # Nobody counts with fractions; a text is read as the number it spells.
    return pl.col(name).cast(pl.Int64, strict=False)


def _text(name: str, schema: pl.Schema) -> pl.Expr:
    if name not in schema:
        return pl.lit(None, pl.String).alias(name)
    return pl.col(name).cast(pl.String, strict=False).fill_null("-")


def _count(frame: pl.DataFrame, sums: Sums, delivered: float, tally: Tally) -> None:
    """Add rows to sums and tally."""
    table = sums.table
    stamps = [
        pl.when(pl.col(n) >= MILLISECONDS_FROM).then(pl.col(n) // 1000).otherwise(pl.col(n))
        for n in ("start", "end")
    ]
    status = pl.col("log_status")
    gap = {"skip_data": status == "SKIPDATA", "no_data": status == "NODATA"}
    if frame["log_status"].null_count() == frame.height:  # the format lacks it
        gap = {"skip_data": pl.lit(False), "no_data": pl.col("action") == "-"}
    frame = frame.with_columns(
        stamps,
        known=(pl.col("interface_id") == "-") | pl.col("interface_id").str.starts_with("eni-"),
    ).with_columns(
        kind=pl.when(~pl.col("known"))
        .then(pl.lit("malformed"))
        .when(gap["skip_data"])
        .then(pl.lit("skip_data"))
        .when(gap["no_data"])
        .then(pl.lit("no_data"))
        .when(
            pl.col("action").is_in(["ACCEPT", "REJECT"])
            & (status.is_null() | (status == "OK"))
            & (pl.col("start") >= 0)
            & (pl.col("end") >= 0)
        )
        .then(pl.lit("record"))
        .otherwise(pl.lit("malformed"))
    )
    newest: Any = frame.filter(
        (pl.col("kind") != "malformed") & (pl.col("end") <= delivered + CLOCKS_DIFFER)
    )["end"].max()
    counts = dict(frame.group_by("kind").len().iter_rows())
    for kind in ("skip_data", "no_data"):
        tally.line(table.flow_log_id, kind, None, counts.get(kind, 0))
    if counts.get("malformed"):
        row = frame.filter(pl.col("kind") == "malformed").row(0, named=True)
        why = Malformed("a row without interface, action, start or end that can be")
        tally.malformed(table.flow_log_id, why, str(row), counts["malformed"])
    tally.line(table.flow_log_id, "other", float(newest) if newest is not None else None, 0)
    concerned = _concerned(frame, sums, delivered, tally)
    tally.line(table.flow_log_id, "other", None, counts.get("record", 0) - concerned)


def _concerned(frame: pl.DataFrame, sums: Sums, delivered: float, tally: Tally) -> int:
    """Add the records of endpoints and their clients; return how many rows that are."""
    table = sums.table
    ends = [(n, True) for n in _TARGETS] + [(n, False) for n in _SOURCES]
    ends = [(n, inbound) for n, inbound in ends if frame[n].null_count() < frame.height]
    known = pl.Series(table.addresses.tokens, dtype=pl.String).implode()
    own = pl.Series(table.interfaces.tokens, dtype=pl.String).implode()
    touched = pl.any_horizontal(
        pl.col("interface_id").is_in(own), *(pl.col(n).is_in(known) for n, _ in ends)
    )
    rows = frame.filter((pl.col("kind") == "record") & touched)
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
        own=table.interfaces.numbers(rows["interface_id"].to_list()),
        ends=[(inbound, table.addresses.numbers(rows[n].to_list())) for n, inbound in ends],
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
        str(row["interface_id"]),
        "ACCEPT" if row["action"] == "ACCEPT" else "REJECT",
        bytes=numbers.pop("size"),  # type: ignore[arg-type]  # null or a number
        tcp_flags=numbers.pop("flags"),  # type: ignore[arg-type]
        sources=texts(_SOURCES),
        targets=texts(_TARGETS),
        **numbers,  # type: ignore[arg-type]
    )
    assert isinstance(line, Record)
    return line
