"""Files as bytes: compressed or not, cut, corrupt, of several layouts."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.flowlogs import text
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import LINES, RECORDS, Tally
from exporter.flowlogs.text import CorruptFile, Reader
from exporter.store import CounterKey
from tests.flowlogs.files import (
    DELIVERED,
    HEADER,
    V2,
    line,
    lines_of,
    packed,
    read,
    some_lines,
    total,
)
from tests.flowlogs.judges import BEGIN, make_judge

FOUR = some_lines(4)
SHORT = b"interface-id action end start\n"
SHORT_LINE = f"eni-0a1 ACCEPT {BEGIN + 60} {BEGIN}\n".encode()
TRANSIT = b"version tgw-id srcaddr dstaddr start end log-status\n"
TRANSIT_LINE = f"6 tgw-0a1 10.0.0.1 10.0.0.2 {BEGIN} {BEGIN + 60} OK\n".encode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (HEADER + FOUR, {"counted": 4}),
        (packed(HEADER + FOUR), {"counted": 4}),
        (packed(HEADER + FOUR[:150], FOUR[150:]), {"counted": 4}),
        (packed(HEADER + FOUR, HEADER + FOUR, b"", HEADER + FOUR), {"counted": 12}),
        (packed(HEADER + FOUR) + bytes(1000), {"counted": 4}),
        (packed(HEADER + FOUR) + bytes(1000) + packed(FOUR), {"counted": 8}),
        ((HEADER + FOUR).replace(b"\n", b"\r\n"), {"counted": 4}),
        (HEADER + FOUR.rstrip(b"\n"), {"counted": 4}),
        (packed(HEADER + FOUR.rstrip(b"\n")), {"counted": 4}),
        (HEADER, {}),
        (HEADER.rstrip(b"\n"), {}),
        (b"", {}),
        (packed(b""), {}),
        (HEADER + HEADER + FOUR + HEADER + FOUR + HEADER, {"counted": 8}),
        (HEADER + FOUR + SHORT + SHORT_LINE * 3 + HEADER + FOUR, {"counted": 11}),
        (FOUR + SHORT + SHORT_LINE + SHORT + SHORT_LINE, {"counted": 6}),
        (FOUR, {"counted": 4}),
        (FOUR + HEADER.replace(b"srcaddr dstaddr", b"dstaddr srcaddr") + FOUR, {"counted": 8}),
        (HEADER + FOUR + b"\n", {"counted": 4, "malformed": 1}),
        (HEADER + b"\n\n" + FOUR, {"counted": 4, "malformed": 2}),
        (b"\n", {"malformed": 1}),
    ],
    ids=[
        "plain",
        "gzip",
        "two members, cut in a line",
        "members with headers",
        "zero padding",
        "padding between members",
        "CR LF",
        "no newline at the end",
        "no newline at the end, gzip",
        "a header alone",
        "a header without a newline",
        "empty",
        "empty gzip",
        "repeated headers",
        "other fields in mid-file",
        "no header, then others",
        "no header but LogFormat",
        "another order in mid-file",
        "a blank line at the end",
        "blank lines",
        "a newline",
    ],
)
def test_files(data: bytes, expected: dict[str, int]) -> None:
    """Every line is counted by the header before it, or by LogFormat without one."""
    tally, problem = read(data)
    assert lines_of(tally) == expected
    assert problem is None


def test_another_order_means_another_thing() -> None:
    """After a header of another order the numbers are those of that order."""
    swapped = HEADER.replace(b"packets bytes", b"bytes packets")
    tally, _ = read(HEADER + line(size=1) + swapped + line(size=10_000) + HEADER + line(size=2))
    sizes = {k.name: n for k, n in tally.counters.items() if k.label == "ACCEPT"}
    assert sizes["flow_bytes"] == 1 + 10 + 2
    assert sizes["flow_packets"] == 10 + 10_000 + 10


@pytest.mark.parametrize(
    ("data", "expected", "problem"),
    [
        (FOUR, {"malformed": 4}, "unknown layout: no header and no LogFormat"),
        (FOUR + HEADER + FOUR, {"malformed": 4, "counted": 4}, "no header and no LogFormat"),
        (
            TRANSIT + TRANSIT_LINE * 2,
            {"malformed": 2},
            "lacks interface-id, action: version tgw-id",
        ),
        (
            HEADER + FOUR + TRANSIT + TRANSIT_LINE * 2 + HEADER + FOUR,
            {"counted": 8, "malformed": 2},
            "unknown layout: the format lacks interface-id, action: version tgw-id",
        ),
        (HEADER[:-1] + b" start\n" + FOUR, {"malformed": 4}, "a field is listed twice"),
    ],
    ids=["no layout at all", "then a header", "transit gateway", "in mid-file", "twice"],
)
def test_unknown_layouts(data: bytes, expected: dict[str, int], problem: str) -> None:
    """Lines of a layout that cannot be counted are malformed up to the next header; it is named."""
    tally, found = read(data, None)
    assert lines_of(tally) == expected
    assert problem in (found or "")
    assert problem in tally.problem["fl-0a1"][0]


@pytest.mark.parametrize(
    "bad",
    [
        line().replace(b" 443 ", b" "),
        line().replace(b" 443 ", b" 443 443 "),
        line().replace(b" 443 ", b"  443 "),
        line().replace(b" 443 ", b"  "),
        line().replace(b" 443 ", b" x "),
        line().replace(b" 443 ", b" -1 "),
        line().replace(b"ACCEPT", b"ALLOW"),
        line().replace(b"ACCEPT", b"-"),
        line().replace(b" OK", b" FINE"),
        line().replace(b"eni-0a1", b"i-0a1"),
        line().replace(b"10.2.0.5", b"10.2\xff.0.5"),
        b'"' + line().rstrip(b"\n") + b'"\n',
        line().replace(b" ", b"\t"),
        line().replace(b" ", b","),
        b" " + line(),
        line().rstrip(b"\n") + b" \n",
        line()[:40] + b"\n",
        line().replace(b"10.2.0.5", b"1" * 100_000 + b" "),
        b"x" * 100_000 + b"\n",
        b"\x00" * 50 + b"\n",
        b"\x00\x01\x02\n",
        b"end\n",
        b"\n",
    ],
    ids=lambda bad: repr(bad[:60]),
)
@pytest.mark.parametrize("at", [0, 1, 500, 1000])
def test_a_bad_line_is_one_malformed_line(bad: bytes, at: int) -> None:
    """It is counted as malformed, its neighbours as what they are."""
    good = [line(i) for i in range(1000)]
    tally, problem = read(HEADER + b"".join(good[:at]) + bad + b"".join(good[at:]))
    assert lines_of(tally) == {"counted": 1000, "malformed": 1}
    assert problem is None
    reason, shown = tally.problem["fl-0a1"]
    assert reason
    assert len(shown) <= 200


def test_a_long_line_of_the_layout_is_a_record() -> None:
    """A field of 100 KB that is not known here is carried past, wherever the line stands."""
    layout = HEADER[:-1] + b" new-field\n"
    long = line()[:-1] + b" " + b"x" * 100_000 + b"\n"
    short = line()[:-1] + b" -\n"
    for before in (0, 1, 5_000, 9_800, 9_900, 9_999, 10_100):
        tally, _ = read(layout + short * before + long + short)
        assert lines_of(tally) == {"counted": before + 2}


@pytest.mark.parametrize("length", [1_500_000, 20_000_000])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_without_an_end(length: int, end: bytes) -> None:
    """It is one malformed line, however long, and what comes after it is counted."""
    after = FOUR if end else b""
    tally, _ = read(packed(HEADER + FOUR + b"x" * length + end + after))
    assert lines_of(tally) == {"counted": 8 if end else 4, "malformed": 1}


def test_a_gzip_file_that_is_cut() -> None:
    """Cut at any byte: every whole line before that is counted, one malformed line for the cut."""
    data = packed(HEADER + some_lines(12))
    for cut in range(1, len(data)):
        plain = zlib.decompressobj(31).decompress(data[:cut])
        tally, problem = read(data[:cut])
        whole = max(0, plain.count(b"\n") - 1)
        assert lines_of(tally) == {k: n for k, n in (("counted", whole), ("malformed", 1)) if n}
        assert cut < 2 or problem == "the file ends within a gzip member"


def test_a_second_member_that_is_cut() -> None:
    """What was read of the members before it is counted, and its own whole lines."""
    first, second = packed(HEADER + FOUR), packed(HEADER + FOUR)
    for cut in range(1, len(second)):
        plain = zlib.decompressobj(31).decompress(second[:cut])
        tally, _ = read(first + second[:cut])
        whole = 4 + max(0, plain.count(b"\n") - 1)
        assert lines_of(tally) == {"counted": whole, "malformed": 1}


def test_a_plain_file_that_is_cut() -> None:
    """Its last line is malformed unless it looks whole, which nothing else can tell."""
    for cut in range(len(HEADER) + 1, len(HEADER + FOUR)):
        data = (HEADER + FOUR)[:cut]
        whole, left = data.count(b"\n") - 1, data.rpartition(b"\n")[2]
        whole += left.endswith(b" OK")
        bad = bool(left) and not left.endswith(b" OK")
        tally, _ = read(data)
        expected = {"counted": whole, "malformed": int(bad)}
        assert lines_of(tally) == {k: n for k, n in expected.items() if n}


def random_lines(number: int) -> bytes:
    draw = random.Random(1)
    return b"".join(line(draw.randrange(65536), size=draw.randrange(10**6)) for _ in range(number))


@pytest.mark.parametrize("before", [100, 7_000, 19_000])
def test_a_corrupt_file(before: int) -> None:
    """Bytes in mid-file make no sense: it is read again, and little before them is lost."""
    rows = random_lines(20_000).splitlines(keepends=True)
    compressor = zlib.compressobj(wbits=31)
    data = compressor.compress(HEADER + b"".join(rows[:before]))
    data += compressor.flush(zlib.Z_FULL_FLUSH)
    # No block begins with these bits.
    data += b"\x07" + compressor.compress(b"".join(rows[before:])) + compressor.flush()
    reader = Reader(Table(make_judge()), DELIVERED, Tally(), V2)
    with pytest.raises(CorruptFile, match="corrupt gzip"):
        reader.read([data])
    tally, problem = read(data)
    found = lines_of(tally)
    assert before - 40 <= found["counted"] <= before
    assert found["malformed"] == 1
    assert "corrupt gzip" in (problem or "")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.97])
def test_a_damaged_file(share: float) -> None:
    """Damage that only the checksum tells of: what is before it is counted, and it is reported."""
    data = packed(HEADER + random_lines(20_000))
    at = int(len(data) * share)
    before = zlib.decompressobj(31).decompress(data[:at]).count(b"\n") - 1
    tally, problem = read(data[:at] + b"\xff" * 64 + data[at + 64 :])
    found = lines_of(tally)
    assert found["counted"] >= before - 40
    assert found["malformed"] >= 1
    assert sum(found.values()) <= 20_100
    assert "corrupt gzip" in (problem or "")


def test_a_wrong_checksum() -> None:
    """A file whose checksum is wrong has one malformed line for that and loses little."""
    data = packed(HEADER + some_lines(5000))
    tally, problem = read(data[:-8] + bytes(4) + data[-4:])
    found = lines_of(tally)
    assert found["malformed"] == 1
    assert found["counted"] > 4900
    assert "corrupt gzip" in (problem or "")


def test_rubbish_behind_a_member() -> None:
    """What follows a member and is none is one malformed line; the member is counted."""
    tally, _ = read(packed(HEADER + FOUR) + b"rubbish" * 9)
    assert lines_of(tally) == {"counted": 4, "malformed": 1}


PARTS = st.sampled_from(
    [
        HEADER,
        HEADER.replace(b"packets bytes", b"bytes packets"),
        SHORT,
        SHORT_LINE,
        TRANSIT,
        TRANSIT_LINE,
        line(),
        line(action="REJECT"),
        line(eni="eni-0b1"),
        line(eni="eni-0ff"),
        line().replace(b"\n", b"\r\n"),
        line().replace(b" OK", b" NODATA"),
        line()[:30] + b"\n",
        b"x\xff\n",
        b"\n",
        b"y" * 300 + b"\n",
    ]
)


@pytest.mark.parametrize("layout", [V2, None], ids=["LogFormat", "no LogFormat"])
@pytest.mark.parametrize("size", [7, 300, 2000])
@given(
    parts=st.lists(PARTS, max_size=30),
    end=st.sampled_from([b"", line()[:-1], b"z"]),
    seed=st.integers(0, 2**32),
    compressed=st.booleans(),
    step=st.integers(1, 5000),
)
def test_chunks_do_not_matter(
    layout: object,
    size: int,
    parts: list[bytes],
    end: bytes,
    seed: int,
    compressed: bool,
    step: int,
) -> None:
    """However a file's bytes are cut into chunks, steps and slices: the same comes out."""
    draw = random.Random(seed)
    plain = b"".join(parts) + end
    cuts = sorted(draw.randrange(len(plain) + 1) for _ in range(draw.randrange(3)))
    members = [plain[a:b] for a, b in zip([0, *cuts], [*cuts, len(plain)], strict=True)]
    data = packed(*members) if compressed else plain
    whole, problem = read(plain, layout)  # type: ignore[arg-type]  # a Format or None
    chunks = []
    while data:
        length = draw.choice([1, 2, 3, 50, 1000])
        chunks.append(data[:length])
        data = data[length:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "SLICE", size)
        pieces, same = read(chunks, layout, step)  # type: ignore[arg-type]
    assert total(pieces) == total(whole)
    assert pieces.problem.keys() == whole.problem.keys()
    assert same == problem


@pytest.mark.parametrize("left", range(-40, 40))
def test_a_member_that_ends_where_a_slice_does(monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    """What is still to come of a member when its last byte was taken is not called missing."""
    monkeypatch.setattr(text, "SLICE", 1000)
    data = HEADER + line() * 100
    data += b"x" * (4000 - len(data) % 1000 + left) + b"\n"
    for level in (1, 9):
        tally, problem = read(gzip.compress(data, level, mtime=0))
        assert problem is None
        assert lines_of(tally) == {"counted": 100, "malformed": 1}


@pytest.mark.parametrize(
    "body", [b"\0" * 1000, b"\n" * 1000, b"x\n" * 500, FOUR], ids=["zeros", "newlines", "x", "good"]
)
def test_a_bomb_stays_small(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    """What grows a thousandfold when decompressed is read in bounded memory, and only so much."""
    monkeypatch.setattr(text, "LARGEST_FILE", 500_000)
    monkeypatch.setattr(text, "SLICE", 200_000)
    compressor = zlib.compressobj(9, wbits=31)
    data = compressor.compress(body * (10_000_000 // len(body))) + compressor.flush()
    tracemalloc.start()
    try:
        tally, problem = read(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "when decompressed" in (problem or "")
    assert tally.counters[CounterKey("fl-0a1", LINES, "malformed")] >= 1
    assert peak < 20_000_000


def test_nothing_of_a_cut_line_is_counted() -> None:
    """A line that is cut where it still looks whole is not counted."""
    compressor = zlib.compressobj(wbits=31)
    data = compressor.compress(HEADER + line() + line()[:-1]) + compressor.flush(zlib.Z_FULL_FLUSH)
    tally, _ = read(data)
    assert tally.counters[CounterKey("vpce-0a1", RECORDS, "ACCEPT")] == 1
    assert lines_of(tally) == {"counted": 1, "malformed": 1}
