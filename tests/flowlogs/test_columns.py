"""Whole slices are judged as each of their lines is by itself."""

from __future__ import annotations

import random
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.flowlogs import columns, text
from exporter.flowlogs.formats import DEFAULT, Format, from_log_format
from exporter.flowlogs.judge import Judge
from exporter.flowlogs.kernel import Kernel
from exporter.flowlogs.native.library import LIBRARY
from exporter.flowlogs.native.lines import Compiled
from exporter.flowlogs.slices import Slices
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import CLIENTS_ACCEPTED, Tally
from tests.flowlogs.judges import BEGIN, FLOW_LOG, SUBNET, VPC, make_judge

RICH = DEFAULT + " ${tcp-flags} ${pkt-srcaddr} ${pkt-dstaddr} ${traffic-path} ${new-field}"
FORMATS = [
    DEFAULT,
    RICH,
    "${action} ${tcp-flags} ${end} ${interface-id} ${start} ${dstaddr} ${srcaddr}",
    "${bytes} ${interface-id} ${action} ${start} ${end} ${log-status} ${dstport} ${dstaddr}",
    "${start} ${end} ${interface-id} ${action}",
]
KERNELS: dict[str, Kernel] = {"numpy": Slices}
if LIBRARY:
    KERNELS["native"] = partial(Compiled, LIBRARY)
JUDGES = {
    "plain": make_judge(),
    "cut": make_judge(
        choices={
            (VPC, "ACCEPT"): [(BEGIN + 100.0, "fl-0a1"), (0.0, "fl-0")],
            (VPC, "REJECT"): [(0.0, "fl-0a1")],
        }
    ),
    "several cuts": make_judge(
        choices={
            (VPC, "ACCEPT"): [(BEGIN + 200.0, "fl-0a1"), (BEGIN + 100.0, "x"), (0.0, "fl-0a1")],
            (VPC, "REJECT"): [(BEGIN + 100.0, "x"), (0.0, "fl-0a1")],
        }
    ),
    "silent": make_judge(choices={(VPC, a): [(0.0, "other")] for a in ("ACCEPT", "REJECT")}),
    "subnet": make_judge(
        choices={
            (VPC, "ACCEPT"): [(0.0, "fl-0a1")],
            (SUBNET, "ACCEPT"): [(0.0, "x")],
            ("eni-0a1", "REJECT"): [(0.0, "fl-0a1")],
        }
    ),
    "late": make_judge(lookback=100.0),
}


def one_by_one(lines: list[bytes], layout: Format, judge: Judge, delivered: float) -> Tally:
    tally = Tally()
    for line in lines:
        columns.one(line.rstrip(b"\r\n"), layout, judge, delivered, tally)
    return tally


def seen(tally: Tally) -> object:
    rejected = {key: sketch.counts for key, sketch in tally.rejected.items()}
    return (
        {k: n for k, n in tally.counters.items() if n},
        tally.newest,
        rejected,
        (
            tally.recent,
            tally.accepted,
        ),
    )


def make_line(draw: random.Random, layout: Format, strange: float) -> bytes:
    """Return a line, most of them good and of interest."""
    status = draw.choices(["OK", "NODATA", "SKIPDATA"], [20, 2, 1])[0]
    start = BEGIN + draw.randrange(-200, 700)
    ends = ["10.1.0.10", "10.1.0.11", "10.1.0.110", "10.1.0.12", "2001:db8::a:10", "10.9.0.1"]
    values = {
        "version": "2",
        "account-id": "111122223333",
        "interface-id": draw.choice(["eni-0a1", "eni-0a2", "eni-0b1", "eni-0c1", "eni-0ff", "-"]),
        "srcport": str(draw.randrange(65536)),
        "dstport": draw.choice(["443", "80"]),
        "protocol": draw.choice(["6", "6", "6", "17", "1", "-"]),
        "packets": str(draw.randrange(1, 10**6)),
        "bytes": str(draw.choice([40, 10**9, 2**40, 2**48, 2**50])),
        "start": str(start),
        "end": str(start + draw.choice([0, 10, 60])),
        "action": draw.choice(["ACCEPT", "REJECT"]),
        "log-status": status,
        "tcp-flags": draw.choice(["2", "3", "18", "0", "-", "19"]),
        "traffic-path": draw.choice(["-", "1"]),
        "new-field": draw.choice(["x", "-", "caf\u00e9", "a\tb"]) if strange else "-",
    }
    for name in ("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr"):
        values[name] = draw.choice(ends)
    if draw.random() < 0.05:
        values["start"], values["end"] = values["start"] + "123", values["end"] + "456"
    if status != "OK":
        keep = ("version", "account-id", "interface-id", "start", "end", "log-status")
        values = {name: value if name in keep else "-" for name, value in values.items()}
    tokens = [values[name] for name in layout.fields]
    if draw.random() < strange:
        i = draw.randrange(len(tokens))
        tokens[i] = draw.choice(
            [
                "",
                "-",
                "x",
                "12a",
                "-1",
                "1" * 30,
                "0" * 17,
                "9999999999",
                "ACCEPTED",
                '"',
                "1.5",
                "O",
            ]
        )
    line = " ".join(tokens).encode()
    if draw.random() < strange:
        mends = [line + b" ", b" " + line, line[: len(line) // 2], b"", line + b" x", line + b"\r"]
        mends += [line + b"\xff", line.replace(b" ", b"  ", 1), line.replace(b" ", b"\t", 1)]
        line = draw.choice(mends)
    return line + b"\n"


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("strange", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("name", JUDGES)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), log_format=st.sampled_from(FORMATS))
def test_a_slice_is_judged_as_its_lines(
    name: str, strange: float, kernel: str, seed: int, log_format: str
) -> None:
    """Counters, newest record, rejected and accepted ports: the same, whatever the lines."""
    draw = random.Random(seed)
    layout, judge, delivered = from_log_format(log_format), JUDGES[name], BEGIN + 600.0
    lines = [make_line(draw, layout, strange) for _ in range(draw.randrange(1, 60))]
    tally = Tally()
    reader = text.Reader(Table(judge), delivered, tally, layout, kernel=KERNELS[kernel])
    reader.read([b"".join(lines)])
    assert seen(tally) == seen(one_by_one(lines, layout, judge, delivered))
    assert FLOW_LOG.id in tally.newest or not tally.newest


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), log_format=st.sampled_from(FORMATS))
def test_few_lines_tell_of_all_clients(kernel: str, seed: int, log_format: str) -> None:
    """Whom an endpoint's own interfaces accepted, each way and until when: as line by line."""
    draw = random.Random(seed)
    layout, judge, delivered = from_log_format(log_format), JUDGES["plain"], BEGIN + 600.0
    lines = [make_line(draw, layout, 0.02) for _ in range(CLIENTS_ACCEPTED)]
    tally = Tally()
    reader = text.Reader(Table(judge), delivered, tally, layout, kernel=KERNELS[kernel])
    reader.read([b"".join(lines)])
    assert tally.clients == one_by_one(lines, layout, judge, delivered).clients


@pytest.mark.parametrize("kernel", KERNELS)
def test_many_lines_tell_of_some_clients_both_ways(kernel: str) -> None:
    """Of a thousand clients each way has a sample, of the same ones; rare ones are not lost."""
    layout = from_log_format(DEFAULT)
    both = "eni-0a1 {0} 10.1.0.10 {1} 443", "eni-0a1 10.1.0.10 {0} 443 {1}"
    rows = [
        row.format(f"10.4.{port % 1000 // 250}.{port % 250}", port)
        for port in range(1024, 6024)
        for row in both
    ]
    rare = "eni-0b1 10.5.0.1 10.1.0.110 5000 443"
    tail = f"6 10 840 {BEGIN} {BEGIN + 60} ACCEPT OK\n"
    data = "".join(f"2 111122223333 {row} {tail}" for row in (*rows, rare)).encode()
    tally = Tally()
    reader = text.Reader(
        Table(JUDGES["plain"]), BEGIN + 600.0, tally, layout, kernel=KERNELS[kernel]
    )
    reader.read([data])
    to, back_to = tally.clients["vpce-0a1", True], tally.clients["vpce-0a1", False]
    assert len(to) <= CLIENTS_ACCEPTED
    assert len(back_to) <= CLIENTS_ACCEPTED
    assert len(to.keys() & back_to.keys()) > CLIENTS_ACCEPTED // 2
    assert tally.clients["vpce-0b1", True] == {"10.5.0.1": BEGIN + 60}


@pytest.mark.parametrize("code", KERNELS)
@pytest.mark.parametrize(
    ("protocol", "flags", "packets"),
    [
        ("6", "0", "other"),
        ("6", "4", "other"),
        ("6", "2", "syn"),
        ("6", "18", "syn-ack"),
        ("6", "-", ""),
        ("17", "0", ""),
        ("1", "0", ""),
        ("300", "2", ""),
        ("-", "0", ""),
        ("-", "4", "other"),
        ("-", "2", "syn"),
    ],
)
def test_flags_are_tcp_s(code: str, protocol: str, flags: str, packets: str) -> None:
    """Of other protocols 0 for flags does not tell what packets were for; nor of one not told."""
    layout = from_log_format(DEFAULT + " ${tcp-flags}")
    line = (
        f"2 222233334444 eni-0a1 10.9.9.9 10.1.0.10 40000 514 {protocol} 1 60 {BEGIN} "
        f"{BEGIN + 60} REJECT OK {flags}"
    ).encode()
    delivered = BEGIN + 600.0
    tally = Tally()
    reader = text.Reader(Table(JUDGES["plain"]), delivered, tally, layout, kernel=KERNELS[code])
    reader.read([line + b"\n"])
    for found in (tally, one_by_one([line], layout, JUDGES["plain"], delivered)):
        ((who,),) = (sketch.counts for sketch in found.rejected.values())
        assert who.packets == packets
