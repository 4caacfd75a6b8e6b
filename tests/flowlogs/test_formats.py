"""Layouts: of every version, in any order, from LogFormat or a header."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.flowlogs.formats import (
    DEFAULT,
    Format,
    UnusableFormat,
    from_fields,
    from_log_format,
    header_of,
)
from exporter.flowlogs.parse import Record, parse

# https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html#flow-logs-fields
# with a value that each field may have.
VERSIONS: dict[int, dict[str, str]] = {
    2: {
        "version": "2",
        "account-id": "111122223333",
        "interface-id": "eni-0a1",
        "srcaddr": "10.0.0.1",
        "dstaddr": "10.0.0.2",
        "srcport": "49152",
        "dstport": "443",
        "protocol": "6",
        "packets": "10",
        "bytes": "840",
        "start": "1700000000",
        "end": "1700000060",
        "action": "REJECT",
        "log-status": "OK",
    },
    3: {
        "vpc-id": "vpc-0a1",
        "subnet-id": "subnet-0a1",
        "instance-id": "-",
        "tcp-flags": "2",
        "type": "IPv4",
        "pkt-srcaddr": "10.0.0.3",
        "pkt-dstaddr": "10.0.0.4",
    },
    4: {
        "region": "eu-west-1",
        "az-id": "euw1-az1",
        "sublocation-type": "-",
        "sublocation-id": "-",
    },
    5: {
        "pkt-src-aws-service": "-",
        "pkt-dst-aws-service": "S3",
        "flow-direction": "egress",
        "traffic-path": "7",
    },
    7: {
        "ecs-cluster-arn": "arn:aws:ecs:eu-west-1:111122223333:cluster/a",
        "ecs-cluster-name": "a",
        "ecs-container-instance-arn": "-",
        "ecs-container-instance-id": "-",
        "ecs-container-id": "0123456789ab",
        "ecs-second-container-id": "-",
        "ecs-service-name": "pay",
        "ecs-task-definition-arn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/pay:7",
        "ecs-task-arn": "arn:aws:ecs:eu-west-1:111122223333:task/a/0123456789abcdef",
        "ecs-task-id": "0123456789abcdef",
    },
    8: {"reject-reason": "EC"},
    9: {"resource-id": "eni-0a1"},
    10: {"encryption-status": "1"},
    11: {
        "instance-tag": "-",
        "instance-tag-2": "-",
        "interface-tag": "start",
        "interface-tag-2": "-",
        "asg-tag": "-",
        "asg-tag-2": "-",
        "interface-type": "vpc_endpoint",
        "next-hop-interface-id": "eni-0b1",
        "next-hop-subnet-id": "subnet-0b1",
        "next-hop-az-id": "euw1-az2",
        "next-hop-vpc-id": "vpc-0a1",
        "next-hop-interface-type": "interface",
    },
}
EXPECTED = Record(
    "eni-0a1",
    "REJECT",
    1700000000,
    1700000060,
    10,
    840,
    None,
    6,
    49152,
    443,
    ("10.0.0.1",),
    ("10.0.0.2",),
)


def fields_up_to(version: int) -> dict[str, str]:
    """Return the fields of all versions up to one, with values."""
    found: dict[str, str] = {}
    for added, values in VERSIONS.items():
        if added <= version:
            found |= values
    return found | {"version": str(version)}


def log_format(names: list[str]) -> str:
    return " ".join(f"${{{name}}}" for name in names)


def expected(version: int) -> Record:
    if version < 3:
        return EXPECTED
    return EXPECTED._replace(
        tcp_flags=2, sources=("10.0.0.1", "10.0.0.3"), targets=("10.0.0.2", "10.0.0.4")
    )


@pytest.mark.parametrize("version", [2, 3, 4, 5, 7, 8, 9, 10, 11])
@given(seed=st.integers(0, 2**32))
def test_every_version_in_any_order(version: int, seed: int) -> None:
    """All fields of a version give the same record whatever their order."""
    values = fields_up_to(version)
    names = list(values)
    random.Random(seed).shuffle(names)
    layout = from_log_format(log_format(names))
    assert parse(" ".join(values[name] for name in names), layout) == expected(version)
    assert from_fields(tuple(names)) == layout


def test_the_default_is_version_2_in_its_order() -> None:
    """The default format is the version 2 fields in AWS's order; no LogFormat means it."""
    assert from_log_format(DEFAULT).fields == tuple(VERSIONS[2])
    assert from_log_format("") == from_log_format(DEFAULT) == from_log_format(f" {DEFAULT} ")


@pytest.mark.parametrize("at", [0, 7, 14])
def test_a_field_that_aws_adds_later(at: int) -> None:
    """A field that is not known here is carried past, whatever it holds."""
    values = list(fields_up_to(2).items())
    values.insert(at, ("next-hop-weather-2", "ACCEPT"))
    layout = from_log_format(log_format([name for name, _ in values]))
    assert parse(" ".join(value for _, value in values), layout) == EXPECTED


def test_the_least_format() -> None:
    """Interface, action, start and end suffice; what is not there is not known."""
    layout = from_log_format("${interface-id} ${action} ${start} ${end}")
    assert parse("eni-0a1 ACCEPT 1700000000 1700000060", layout) == Record(
        "eni-0a1", "ACCEPT", 1700000000, 1700000060
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${start} ${end} ${interface-id}", "lacks action"),
        ("${start} ${end} ${action}", "lacks interface-id"),
        ("${version}", "lacks interface-id, action, start, end"),
        ("start end", "not a list"),
        ("${start},${end},${interface-id},${action}", "not a list"),
        ("${start}  ${end} ${interface-id} ${action}", "not a list"),
        ("${Start} ${end} ${interface-id} ${action}", "not a list"),
        (DEFAULT + " ${start}", "listed twice"),
        # AWS's own examples of a NAT gateway and a transit gateway leave out what counting needs.
        (
            "${instance-id} ${interface-id} ${srcaddr} ${dstaddr} ${pkt-srcaddr} ${pkt-dstaddr}",
            "lacks action, start, end",
        ),
    ],
)
def test_a_format_without_what_counting_needs(text: str, message: str) -> None:
    """A format that cannot be counted says what is wrong with it."""
    with pytest.raises(UnusableFormat, match=message):
        from_log_format(text)


def test_transit_gateway_lines_cannot_be_counted() -> None:
    """Version 6 is of transit gateways: it has no interface and no action."""
    fields = (
        "version resource-type account-id tgw-id tgw-attachment-id tgw-src-eni tgw-dst-eni "
        "srcaddr dstaddr srcport dstport protocol packets bytes start end log-status"
    )
    assert header_of(fields) == tuple(fields.split(" "))
    with pytest.raises(UnusableFormat, match="lacks interface-id, action"):
        from_fields(tuple(fields.split(" ")))


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
@pytest.mark.parametrize("version", [2, 5, 11])
def test_a_header_is_told_by_its_names(version: int, ending: str) -> None:
    """The first line of a file names the fields; lines of values never do."""
    values = fields_up_to(version)
    assert header_of(" ".join(values) + ending) == tuple(values)
    assert header_of(" ".join(values.values()) + ending) is None
    gap = dict.fromkeys(values, "-") | {"interface-id": "eni-0a1", "log-status": "NODATA"}
    assert header_of(" ".join(gap.values()) + ending) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\n",
        "start",
        "version account-id  start end",
        " version account-id start end",
        "version account-id start end ",
        "Version account-id start end",
        "${version} ${start}",
        "version,account-id,start,end",
        "interface-id action",
        "v\u00e9rsion start",
    ],
)
def test_what_is_no_header(line: str) -> None:
    """Names have one space between them, and one of the fields that hold numbers is among them."""
    assert header_of(line) is None


def test_formats_are_equal_when_their_fields_are() -> None:
    """A layout from a header is the same as from LogFormat."""
    header = header_of("interface-id action start end")
    assert header
    same: Format = from_fields(header)
    assert same == from_log_format("${interface-id} ${action} ${start} ${end}")
    assert same != from_log_format("${action} ${interface-id} ${start} ${end}")
