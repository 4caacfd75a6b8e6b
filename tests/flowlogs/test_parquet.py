"""Parquet: the same verdicts as the text of the same records."""

from __future__ import annotations

import io
import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.flowlogs import parquet
from exporter.flowlogs.formats import DEFAULT, from_log_format
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import BYTES, CLIENTS_ACCEPTED, RECORDS, Tally
from exporter.store import CounterKey
from tests.flowlogs.files import DELIVERED, lines_of, read, total
from tests.flowlogs.judges import BEGIN
from tests.flowlogs.test_columns import JUDGES

RICH = from_log_format(
    DEFAULT + " ${vpc-id} ${tcp-flags} ${pkt-srcaddr} ${pkt-dstaddr} ${traffic-path} ${new-field}"
)
# The types that AWS gives the columns.
SHORT_NUMBERS = ("version", "srcport", "dstport", "protocol", "tcp-flags", "traffic-path")
LONG_NUMBERS = ("packets", "bytes", "start", "end")
ROW: dict[str, Any] = {
    "version": 3,
    "account-id": "111122223333",
    "interface-id": "eni-0a1",
    "srcaddr": "10.2.0.5",
    "dstaddr": "10.1.0.10",
    "srcport": 49152,
    "dstport": 443,
    "protocol": 6,
    "packets": 10,
    "bytes": 840,
    "start": BEGIN,
    "end": BEGIN + 60,
    "action": "ACCEPT",
    "log-status": "OK",
    "vpc-id": "vpc-0a1",
    "tcp-flags": 2,
    "pkt-srcaddr": "10.2.0.5",
    "pkt-dstaddr": "10.1.0.10",
    "traffic-path": None,
    "new-field": None,
}
GAP = dict.fromkeys(ROW) | {
    "version": 3,
    "interface-id": "eni-0a1",
    "start": BEGIN,
    "end": BEGIN + 60,
    "log-status": "NODATA",
}


def dtype(name: str) -> type[pl.DataType]:
    if name in SHORT_NUMBERS:
        return pl.Int32
    return pl.Int64 if name in LONG_NUMBERS else pl.String


def columns(rows: list[dict[str, Any]], *names: str) -> dict[str, pl.Series]:
    """Return rows as columns of AWS's names and types."""
    return {
        name.replace("-", "_"): pl.Series([row[name] for row in rows], dtype=dtype(name))
        for name in names or ROW
    }


def write(frame: dict[str, pl.Series], **options: Any) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(frame).write_parquet(file, **options)
    return file.getvalue()


def count(data: bytes, name: str = "plain") -> tuple[Tally, str | None]:
    tally = Tally()
    return tally, parquet.read(data, Table(JUDGES[name]), DELIVERED, tally)


def as_text(rows: list[dict[str, Any]]) -> bytes:
    lines = (
        " ".join("-" if row[n] is None else str(row[n]) for n in RICH.fields) + "\n" for row in rows
    )
    return "".join(lines).encode()


def make_row(draw: random.Random) -> dict[str, Any]:
    status = draw.choices(["OK", "NODATA", "SKIPDATA"], [20, 2, 1])[0]
    start = BEGIN + draw.randrange(-200, 700)
    row = ROW | {
        "interface-id": draw.choice(["eni-0a1", "eni-0a2", "eni-0b1", "eni-0c1", "eni-0ff", "-"]),
        "srcport": draw.randrange(65536),
        "dstport": draw.choice([443, 80]),
        "protocol": draw.choice([6, 17, 300]),
        "packets": draw.choice([1, 10**6, 2**48, 2**48 + 1, None]),
        "bytes": draw.choice([40, 10**9, 2**48, 2**50]),
        "start": start,
        "end": start + draw.choice([-1, 0, 10, 60, 10**4]),
        "action": draw.choice(["ACCEPT", "REJECT"]),
        "tcp-flags": draw.choice([2, 3, 18, 0, None]),
    }
    ends = ["10.1.0.10", "10.1.0.11", "10.1.0.110", "10.1.0.12", "2001:db8::a:10", "10.9.0.1", "-"]
    for name in ("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr"):
        row[name] = draw.choice(ends)
    if draw.random() < 0.05:
        row["start"], row["end"] = row["start"] * 1000 + 123, row["end"] * 1000 + 456
    if status != "OK":
        keep = ("version", "account-id", "interface-id", "start", "end")
        row = {name: row[name] if name in keep else None for name in row} | {"log-status": status}
        if draw.random() < 0.3:
            row["start"] = row["end"] = None
    elif draw.random() < 0.05:
        row |= draw.choice(
            [
                {"start": None},
                {"end": None},
                {"action": None},
                {"action": "ALLOW"},
                {"interface-id": "i-0a1"},
                {"log-status": "FINE"},
                {"log-status": None},
            ]
        )
    return row


@pytest.mark.parametrize("name", JUDGES)
@pytest.mark.parametrize("dashes", [False, True], ids=["nulls", "dashes"])
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_the_same_as_the_text(name: str, dashes: bool, seed: int) -> None:
    """Random records as Parquet and as text add up to the same, whatever the judge."""
    draw = random.Random(seed)
    rows = [make_row(draw) for _ in range(draw.randrange(1, 60))]
    texts = [n for n in ROW if dtype(n) is pl.String]
    filled = [
        {n: "-" if row[n] is None and n in texts and dashes else row[n] for n in row}
        for row in rows
    ]
    found, problem = count(write(columns(filled)), name)
    expected, _ = read(as_text(rows), RICH, judge=JUDGES[name])
    assert problem is None
    assert total(found) == total(expected)
    if len(rows) <= CLIENTS_ACCEPTED:
        assert found.clients == expected.clients


@pytest.mark.parametrize("size", [1, 3, 7, 100])
@pytest.mark.parametrize("group", [1, 5, 1000])
def test_groups_and_parts_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, size: int, group: int
) -> None:
    """Row groups of any size, and more rows than are read at a time: the same comes out."""
    draw = random.Random(size * group)
    data = write(columns([make_row(draw) for _ in range(40)]), row_group_size=group)
    whole, _ = count(data)
    monkeypatch.setattr(parquet, "ROWS", size)
    parts, problem = count(data)
    assert problem is None
    assert total(parts) == total(whole)


@pytest.mark.parametrize("compression", ["uncompressed", "gzip", "snappy", "zstd"])
def test_compressions(compression: str) -> None:
    """Whatever the columns are compressed with, AWS's being Snappy or gzip."""
    tally, problem = count(write(columns([ROW] * 3 + [GAP]), compression=compression))
    assert (lines_of(tally), problem) == ({"counted": 3, "no_data": 1}, None)


def test_the_fewest_columns() -> None:
    """Interface, action, start and end suffice; what is not there is not counted."""
    names = ("interface-id", "action", "start", "end")
    gap = GAP | {"action": "-"}
    tally, problem = count(write(columns([ROW, ROW | {"action": "REJECT"}, gap], *names)))
    assert (lines_of(tally), problem) == ({"counted": 2, "no_data": 1}, None)
    assert tally.counters == {
        CounterKey("vpce-0a1", RECORDS, "ACCEPT"): 1,
        CounterKey("vpce-0a1", RECORDS, "REJECT"): 1,
        CounterKey("fl-0a1", "flow_log_lines", "counted"): 2,
        CounterKey("fl-0a1", "flow_log_lines", "no_data"): 1,
    }


@pytest.mark.parametrize("missing", ["interface-id", "action", "start", "end"])
def test_columns_that_are_missing(missing: str) -> None:
    """Without a column that counting needs every row is malformed, and the problem names it."""
    names = [name for name in ROW if name != missing]
    tally, problem = count(write(columns([ROW] * 3, *names)))
    assert lines_of(tally) == {"malformed": 3}
    assert problem == f"unknown layout: the columns lack {missing}"


def test_numbers_of_other_types() -> None:
    """Numbers as texts, as wide, unsigned or floating ones are read as the numbers they are."""
    frame = columns([ROW, ROW])
    frame["bytes"] = pl.Series(["840", "x"])
    frame["packets"] = pl.Series([10, 10], dtype=pl.UInt64)
    frame["srcport"] = pl.Series([49152.0, float("nan")])
    frame["start"] = pl.Series([BEGIN, BEGIN], dtype=pl.UInt32)
    frame["end"] = pl.Series([str(BEGIN + 60)] * 2)
    frame["interface_id"] = pl.Series(["eni-0a1"] * 2, dtype=pl.Categorical)
    frame["action"] = pl.Series([b"ACCEPT"] * 2, dtype=pl.Binary)
    tally, problem = count(write(frame))
    assert (lines_of(tally), problem) == ({"counted": 2}, None)
    assert tally.counters[CounterKey("vpce-0a1", BYTES, "ACCEPT")] == 840


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("start", [[1, 2]]),
        ("start", [{"a": 1}]),
        ("start", ["yesterday"]),
        ("start", [-5]),
        ("end", [None]),
        ("end", [float("inf")]),
        ("interface_id", [5]),
        ("interface_id", [["eni-0a1"]]),
        ("interface_id", [b"\xff\xfe"]),
        ("action", [True]),
    ],
    ids=lambda value: str(value),
)
def test_columns_of_a_wrong_type(name: str, values: list[Any]) -> None:
    """A column that has nothing of what it should have makes rows malformed, and raises nothing."""
    tally, _ = count(write(columns([ROW]) | {name: pl.Series(values)}))
    assert lines_of(tally) == {"malformed": 1}


@pytest.mark.parametrize("name", ["packets", "bytes"])
@pytest.mark.parametrize("amount", [-1, -2, -840, -(2**62)])
def test_negative_numbers(name: str, amount: int) -> None:
    """A counter never goes back, whatever a file says: a negative number is none."""
    tally, _ = count(write(columns([ROW, ROW | {name: amount}])))
    assert lines_of(tally) == {"counted": 2}
    assert tally.counters[CounterKey("vpce-0a1", f"flow_{name}", "ACCEPT")] == ROW[name]


def test_negative_flags_and_ports_are_none() -> None:
    """Nor is a negative flag a SYN, nor a negative port a port."""
    row = ROW | {"tcp-flags": -2, "dstport": -2, "srcport": -1, "protocol": -2, "action": "REJECT"}
    tally, _ = count(write(columns([row])))
    ((who, _),) = next(iter(tally.rejected.values())).counts.items()
    assert (who.source, who.port, who.protocol) == ("10.2.0.5", -1, -1)
    assert {key.name for key in tally.counters} == {
        "flow_records",
        "flow_bytes",
        "flow_packets",
        "flow_log_lines",
    }


def test_no_rows() -> None:
    """A file without rows counts nothing and is no problem."""
    tally, problem = count(write(columns([])))
    assert (lines_of(tally), problem) == ({}, None)


@pytest.mark.parametrize(
    "data",
    [b"", b"PAR1", b"PAR1PAR1", b"2 111122223333 eni-0a1\n", bytes(5000), b"PAR1" + bytes(100)],
    ids=["empty", "a magic", "two", "text", "zeros", "cut"],
)
def test_no_parquet(data: bytes) -> None:
    """A file that is no Parquet is one malformed line, and says so."""
    tally, problem = count(data)
    assert lines_of(tally) == {"malformed": 1}
    assert problem
    assert problem.startswith("broken Parquet: ")


def test_a_file_that_is_cut_counts_nothing() -> None:
    """Parquet says at its end what is in it: cut anywhere it is one malformed line."""
    data = write(columns([ROW] * 20))
    for cut in range(0, len(data), 7):
        tally, problem = count(data[:cut])
        assert lines_of(tally) == {"malformed": 1}
        assert problem


@pytest.mark.parametrize("back", range(1, 9))
def test_a_file_whose_end_is_corrupt(back: int) -> None:
    """The last eight bytes say where to begin: when they are wrong it is one malformed line."""
    data = write(columns([ROW] * 20))
    tally, problem = count(
        data[:-back] + bytes([data[-back] ^ 0xFF]) + data[len(data) - back + 1 :]
    )
    assert lines_of(tally) == {"malformed": 1}
    assert problem


def test_a_panic_of_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some corrupt pages make polars panic after other rows were read: none of them is counted."""
    parts = []

    def panic(*args: Any) -> None:
        parts.append(args)
        if len(parts) > 1:
            raise pl.exceptions.PanicException("offset + length <= self.length")
        count_part(*args)

    count_part = parquet._count
    monkeypatch.setattr(parquet, "ROWS", 5)
    monkeypatch.setattr(parquet, "_count", panic)
    tally, problem = count(write(columns([ROW] * 20)))
    assert len(parts) == 2
    assert lines_of(tally) == {"malformed": 1}
    assert problem == "broken Parquet: offset + length <= self.length"
