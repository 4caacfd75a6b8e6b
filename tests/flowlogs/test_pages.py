"""Parquet read by compiled code says what polars says, or leaves the file to it."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.flowlogs import kernel
from exporter.flowlogs.native import rows as native
from exporter.flowlogs.native.library import LIBRARY
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import Tally
from tests.flowlogs.files import DELIVERED, lines_of, total
from tests.flowlogs.judges import BEGIN
from tests.flowlogs.test_columns import JUDGES
from tests.flowlogs.test_parquet import GAP, ROW, columns, count, dtype, make_row, write

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="no C compiler was there")
CODECS = ["gzip", "snappy", "uncompressed"]
TEXTS = [name for name in ROW if dtype(name) is pl.String]


def compiled(data: bytes, judge: str = "plain") -> Tally | None:
    assert LIBRARY
    return native.count(LIBRARY, data, Table(JUDGES[judge]), DELIVERED)


def same(data: bytes, judge: str = "plain") -> None:
    """Assert that it is not left to polars, and that polars says the same."""
    found = compiled(data, judge)
    assert found is not None
    by_polars, problem = count(data, judge)
    assert problem is None
    assert total(found) == total(by_polars)
    assert found.problem.keys() == by_polars.problem.keys()


def rows_of(draw: random.Random, number: int) -> list[dict[str, Any]]:
    """Return rows, the first with a status, so that the column is one."""
    return [ROW, *(make_row(draw) for _ in range(number))]


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("dashes", [False, True], ids=["nulls", "dashes"])
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_the_same_as_polars(judge: str, dashes: bool, seed: int) -> None:
    """Random records add up to the same, whatever the judge."""
    draw = random.Random(seed)
    rows = rows_of(draw, draw.randrange(60))
    if dashes:
        rows = [{n: "-" if v is None and n in TEXTS else v for n, v in row.items()} for row in rows]
    same(write(columns(rows), compression=draw.choice(CODECS)), judge)


@pytest.mark.parametrize("group", [1, 7, 1000, 100_000])
@pytest.mark.parametrize("page", [100, 3000, 1_000_000])
@pytest.mark.parametrize("nulls", [0.0, 0.01, 0.6])
def test_pages_and_groups_of_any_size(group: int, page: int, nulls: float) -> None:
    """Many rows in groups and pages that end anywhere, with and without dictionaries."""
    draw = random.Random(group + page)
    rows = rows_of(draw, 4000 if group > 1 else 300)
    for row in rows[1:]:
        if draw.random() < nulls:
            row |= {"srcaddr": None, "packets": None, "dstport": None}
        row["bytes"] = draw.randrange(2**40)
        row["pkt-srcaddr"] = f"10.{draw.randrange(256)}.{draw.randrange(256)}.9"
        # Of so many different ones the sketches keep some, which depends on their order.
        row["srcaddr"] = row["srcaddr"] and f"10.1.0.{draw.randrange(9, 13)}"
        row["pkt-srcaddr"] = row["pkt-srcaddr"] if draw.random() < 0.01 else None
    same(write(columns(rows), compression="gzip", row_group_size=group, data_page_size=page))


def test_more_than_there_is_room_for() -> None:
    """Rejected records, and those only the Judge can tell, beyond what is put aside at once."""
    rows = [ROW | {"action": "REJECT"}] * 20_000
    rows += [ROW | {"end": BEGIN - 1}, ROW | {"packets": 2**48 + 1}] * 5000
    same(write(columns(rows), compression="gzip"))


def test_sums_beyond_64_bits() -> None:
    """What would not fit into 64 bits is counted exactly."""
    rows = [ROW | {"bytes": 2**48}] * 40_000
    found = compiled(write(columns(rows), compression="gzip"))
    assert found is not None
    assert max(found.counters.values()) == 40_000 * 2**48


def test_the_fewest_columns_and_none() -> None:
    """What is not there is not counted; a file without rows has nothing."""
    names = ("interface-id", "action", "start", "end")
    gap = GAP | {"action": "-"}
    same(write(columns([ROW, ROW | {"action": "REJECT"}, gap], *names), compression="gzip"))
    same(write(columns([]), compression="gzip"))


def frames() -> dict[str, bytes]:
    """Return files that are not as AWS writes them."""
    plain = columns([ROW, ROW])
    texts = {"bytes": ["840", "x"], "interface_id": ["eni-0a1", "eni-caf\u00e9"]}
    texts["srcaddr"] = ["1" * 70, "-"]
    odd = {f"a text as {n}": write(plain | {n: pl.Series(v)}) for n, v in texts.items()}
    odd["zstd"] = write(plain, compression="zstd")
    odd["unsigned"] = write(plain | {"packets": pl.Series([1, 2], dtype=pl.UInt64)})
    odd["binary"] = write(plain | {"action": pl.Series([b"ACCEPT"] * 2)})
    odd["a list"] = write(plain | {"start": pl.Series([[1], [2]])})
    odd["a moment"] = write(plain | {"end": pl.Series([BEGIN, BEGIN]).cast(pl.Datetime("us"))})
    odd["no status"] = write(columns([ROW | {"log-status": None}]))
    odd["a column less"] = write({n: s for n, s in plain.items() if n != "end"})
    odd["empty"], odd["a magic"], odd["text"] = b"", b"PAR1", b"2 111122223333 eni-0a1\n"
    odd["a large description"] = b"PAR1" + b"\xff" * 8 + b"PAR1"
    return odd


@pytest.mark.parametrize("name", frames())
def test_what_is_left_to_polars(name: str) -> None:
    """Other types, codecs and damage are not guessed at."""
    assert compiled(frames()[name]) is None


@pytest.mark.parametrize("compression", CODECS)
def test_damaged_files(compression: str) -> None:
    """Random damage is left to polars, or gives wrong rows; never more or fewer than there are."""
    draw = random.Random(1)
    options: dict[str, Any] = {"row_group_size": 300, "data_page_size": 200}
    good = write(columns(rows_of(draw, 999)), compression=compression, **options)
    left = 0
    for _ in range(600):
        data = bytearray(good)
        for _ in range(draw.randrange(1, 12)):
            # Also the description, which is behind everything else.
            at = draw.choice([draw.randrange(4, len(data)), len(data) - draw.randrange(4, 3000)])
            data[at] = draw.randrange(256)
        found = compiled(bytes(data[: draw.choice([len(data), draw.randrange(len(data))])]))
        left += found is None
        assert found is None or sum(lines_of(found).values()) == 1000
    assert left


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was not compiled everything is left to polars."""
    data = write(columns([ROW]), compression="gzip")
    table = Table(JUDGES["plain"])
    assert kernel.parquet(data, table, DELIVERED) is not None
    monkeypatch.setattr(kernel, "LIBRARY", None)
    assert kernel.parquet(data, table, DELIVERED) is None
