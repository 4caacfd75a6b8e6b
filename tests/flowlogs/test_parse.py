"""Lines: each one's fate, and that a bad one leaves its neighbours alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.flowlogs.formats import DEFAULT, from_log_format
from exporter.flowlogs.parse import LARGEST, Gap, Line, Malformed, Record, parse

V2 = from_log_format(DEFAULT)
CUSTOM = from_log_format("${action} ${tcp-flags} ${end} ${interface-id} ${start} ${new-field}")
OK = "2 111122223333 eni-0a1 10.0.0.1 10.0.0.2 49152 443 6 10 840 1700000000 1700000060 ACCEPT OK"
FROM, TO = ("10.0.0.1",), ("10.0.0.2",)
RECORD = Record("eni-0a1", "ACCEPT", 1700000000, 1700000060, 10, 840, None, 6, 49152, 443, FROM, TO)


def test_the_default_format() -> None:
    """A line of version 2 gives its record; the format has no TCP flags to tell."""
    assert parse(OK, V2) == RECORD
    assert parse(OK + "\r\n", V2) == parse(OK, V2)


def test_a_custom_order_and_fields_not_known_here() -> None:
    """Fields are found by the format; one that AWS adds later is carried past."""
    line = "REJECT 2 1700000060 eni-0a1 1700000000 whatever"
    assert parse(line, CUSTOM) == Record("eni-0a1", "REJECT", 1700000000, 1700000060, None, None, 2)


@pytest.mark.parametrize(
    ("action", "flags", "refused"),
    [
        ("REJECT", "2", True),
        ("REJECT", "3", True),
        ("REJECT", "6", True),
        ("REJECT", "18", False),
        ("REJECT", "19", False),
        ("REJECT", "16", False),
        ("REJECT", "4", False),
        ("REJECT", "0", False),
        ("REJECT", "-", False),
        ("ACCEPT", "2", False),
    ],
)
def test_a_syn_without_an_ack_is_a_refused_connection(
    action: str, flags: str, refused: bool
) -> None:
    """SYN (2) without ACK (16): a connection that was refused, not a packet that came late."""
    line = parse(f"{action} {flags} 1700000060 eni-0a1 1700000000 -", CUSTOM)
    assert isinstance(line, Record)
    assert line.refused is refused


def test_milliseconds() -> None:
    """Stamps in milliseconds are read as such."""
    line = parse("ACCEPT 0 1700000060123 eni-0a1 1700000000123 -", CUSTOM)
    assert isinstance(line, Record)
    assert (line.start, line.end) == (1700000000, 1700000060)


def test_gaps() -> None:
    """NODATA and SKIPDATA are no records and not malformed, with dashes everywhere."""
    gap = "2 111122223333 eni-0a1 - - - - - - - 1700000000 1700000060 - "
    assert parse(gap + "NODATA", V2) == Gap("no_data", "eni-0a1", 1700000060)
    assert parse(gap + "SKIPDATA", V2) == Gap("skip_data", "eni-0a1", 1700000060)
    assert parse("- - 1700000060 eni-0a1 1700000000 -", CUSTOM) == Gap(
        "no_data", "eni-0a1", 1700000060
    )
    assert parse("- - - eni-0a1 - -", CUSTOM) == Gap("no_data", "eni-0a1", None)
    # Version 9 has lines of a resource that is no interface.
    nobody = gap.replace("eni-0a1", "-")
    assert parse(nobody + "NODATA", V2) == Gap("no_data", "-", 1700000060)


def test_an_interface_id_may_be_a_dash() -> None:
    """A record of version 9 may be of no interface; it is a record, of nobody here."""
    assert parse(OK.replace("eni-0a1", "-"), V2) == RECORD._replace(interface_id="-")
    odd = OK.replace("eni-0a1", "eni-\u00e9")
    assert parse(odd, V2) == RECORD._replace(interface_id="eni-\u00e9")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "1 fields where the format has 14"),
        (OK + " -", "15 fields where the format has 14"),
        (OK.rpartition(" ")[0], "13 fields"),
        (OK.replace(" 6 ", "  6 "), "15 fields"),
        (OK + " ", "15 fields"),
        (" " + OK, "15 fields"),
        (OK.replace(" ", "\t"), "1 fields"),
        # As many tokens as fields, one of them empty.
        (OK.replace(" 6 ", "  "), "an empty field"),
        (OK.replace("2 1111", " 1111"), "an empty field"),
        (OK.rpartition(" ")[0] + " ", "an empty field"),
        (OK.replace("443", "https"), "dstport is not a number"),
        (OK.replace(" 10 ", " -1 "), "packets is not a number"),
        (OK.replace(" 10 ", " +1 "), "packets is not a number"),
        (OK.replace(" 10 ", " 1_0 "), "packets is not a number"),
        (OK.replace(" 10 ", " 1e1 "), "packets is not a number"),
        (OK.replace(" 10 ", " 0x1 "), "packets is not a number"),
        (OK.replace(" 10 ", " \u0661\u0660 "), "packets is not a number"),
        (OK.replace(" 10 ", " \u00b2 "), "packets is not a number"),
        (OK.replace("ACCEPT", "ALLOW"), "action is neither"),
        (OK.replace("ACCEPT", "accept"), "action is neither"),
        (OK.replace("ACCEPT", "ACCEPTED"), "action is neither"),
        (OK.replace("ACCEPT", "-"), "action is neither"),
        (OK.replace(" OK", " FINE"), "log-status is none of"),
        (OK.replace(" OK", " -"), "log-status is none of"),
        (OK.replace("eni-0a1", "i-0a1"), "interface-id is not"),
        (OK.replace("eni-0a1", "ENI-0a1"), "interface-id is not"),
        (OK.replace("1700000000", "-"), "no interval"),
        (OK.replace("1700000060", "-"), "no interval"),
        ('"' + OK + '"', "version is not a number"),
    ],
)
def test_malformed(line: str, reason: str) -> None:
    """Whatever is not of the layout is malformed and says why, never a record of other fields."""
    found = parse(line, V2)
    assert isinstance(found, Malformed)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("line", "nonsense"),
    [
        (OK, None),
        (OK.replace("1700000060", "1700000000"), None),
        (OK.replace("1700000060", "1699999999"), "start and end are no interval"),
        (OK.replace("1700000060", "9" * 30), "start and end are no interval"),
        (OK.replace("1700000000", "9" * 30), "start and end are no interval"),
        (OK.replace(" 10 ", f" {LARGEST} "), None),
        (OK.replace(" 10 ", f" {LARGEST + 1} "), "packets or bytes beyond any interface"),
        (OK.replace(" 840 ", f" {LARGEST + 1} "), "packets or bytes beyond any interface"),
        (OK.replace(" 840 ", f" {'1' * 4000} "), "packets or bytes beyond any interface"),
        (OK.replace(" 443 ", f" {'1' * 40} "), None),
    ],
)
def test_nonsense(line: str, nonsense: str | None) -> None:
    """Numbers of any length are read; a record says why its numbers cannot be."""
    found = parse(line, V2)
    assert isinstance(found, Record)
    assert found.nonsense == nonsense


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    """Any text has a fate; none raises."""
    parse(text, V2)
    parse(f"{OK} {text}", V2)
    parse(OK.replace(" 10 ", f" {text} "), V2)


# The records of AWS's page of examples, with what it says about them:
# https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-records-examples.html
ENI, SERVER, S3 = "eni-1235b8ca123456789", "10.0.0.62", "52.95.128.179"
HOME, PINGED = "203.0.113.12", "172.31.16.139"
V6 = ("2001:db8:1234:a100:8d6e:3477:df66:f105", "2001:db8:1234:a102:3304:8879:34cf:4071")
FLAGS = from_log_format(
    "${version} ${vpc-id} ${subnet-id} ${instance-id} ${interface-id} ${account-id} ${type} "
    "${srcaddr} ${dstaddr} ${srcport} ${dstport} ${pkt-srcaddr} ${pkt-dstaddr} ${protocol} "
    "${bytes} ${packets} ${start} ${end} ${action} ${tcp-flags} ${log-status}"
)
PATHS = from_log_format(
    "${version} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${start} ${end} ${type} "
    "${packets} ${bytes} ${account-id} ${vpc-id} ${subnet-id} ${instance-id} ${interface-id} "
    "${region} ${az-id} ${sublocation-type} ${sublocation-id} ${action} ${tcp-flags} "
    "${pkt-srcaddr} ${pkt-dstaddr} ${pkt-src-aws-service} ${pkt-dst-aws-service} ${traffic-path} "
    "${flow-direction} ${log-status}"
)
# The examples of gateways leave out what counting needs: it is put behind them.
NAT = from_log_format(
    "${instance-id} ${interface-id} ${srcaddr} ${dstaddr} ${pkt-srcaddr} ${pkt-dstaddr} "
    "${start} ${end} ${action}"
)
TRANSIT = from_log_format(
    "${version} ${interface-id} ${account-id} ${vpc-id} ${subnet-id} ${instance-id} ${srcaddr} "
    "${dstaddr} ${srcport} ${dstport} ${protocol} ${tcp-flags} ${type} ${pkt-srcaddr} "
    "${pkt-dstaddr} ${action} ${log-status} ${start} ${end}"
)
IN_VPC = "3 vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-01234567890123456"
THERE = "123456789012 vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-0c50d5961bcb2d47b"
WHEN, AT = "1418530010 1418530070", (1418530010, 1418530070)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            f"2 123456789010 {ENI} 172.31.16.139 172.31.16.21 20641 22 6 20 4249 {WHEN} ACCEPT OK",
            Record(ENI, "ACCEPT", *AT, 20, 4249, None, 6, 20641, 22, (PINGED,), ("172.31.16.21",)),
        ),
        (
            f"2 123456789010 {ENI} 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 {WHEN} REJECT OK",
            Record(
                ENI,
                "REJECT",
                *AT,
                20,
                4249,
                None,
                6,
                49761,
                3389,
                ("172.31.9.69",),
                ("172.31.9.12",),
            ),
        ),
        (
            f"2 123456789010 {ENI} - - - - - - - 1431280876 1431280934 - NODATA",
            Gap("no_data", ENI, 1431280934),
        ),
        (
            "2 123456789010 eni-11111111aaaaaaaaa - - - - - - - 1431280876 1431280934 - SKIPDATA",
            Gap("skip_data", "eni-11111111aaaaaaaaa", 1431280934),
        ),
        (
            f"2 123456789010 {ENI} {HOME} {PINGED} 0 0 1 4 336 1432917027 1432917142 ACCEPT OK",
            Record(
                ENI, "ACCEPT", 1432917027, 1432917142, 4, 336, None, 1, 0, 0, (HOME,), (PINGED,)
            ),
        ),
        (
            f"2 123456789010 {ENI} {PINGED} {HOME} 0 0 1 4 336 1432917094 1432917142 REJECT OK",
            Record(
                ENI, "REJECT", 1432917094, 1432917142, 4, 336, None, 1, 0, 0, (PINGED,), (HOME,)
            ),
        ),
        (
            f"2 123456789010 {ENI} {V6[0]} {V6[1]} 34892 22 6 54 8855 1477913708 1477913820 "
            "ACCEPT OK",
            Record(
                ENI,
                "ACCEPT",
                1477913708,
                1477913820,
                54,
                8855,
                None,
                6,
                34892,
                22,
                V6[:1],
                V6[1:],
            ),
        ),
    ],
    ids=["ssh accepted", "rdp rejected", "no data", "skipped", "ping", "its answer", "IPv6"],
)
def test_examples_of_aws_in_the_default_format(line: str, expected: Line) -> None:
    """The records of AWS's page mean what it says they do."""
    assert parse(line, V2) == expected


@pytest.mark.parametrize(
    ("port", "outbound", "size", "packets", "when", "flags"),
    [
        (43416, False, 568, 8, (1566848875, 1566848933), 2),
        (43416, True, 376, 7, (1566848875, 1566848933), 18),
        (43418, False, 100701, 70, (1566848875, 1566848933), 2),
        (43418, True, 632, 12, (1566848875, 1566848933), 18),
        (43418, True, 63388, 1219, (1566848933, 1566849113), 1),
        (43418, False, 23294588, 15774, (1566848933, 1566849113), 1),
        (43638, False, 1260, 17, (1566933133, 1566933193), 3),
        (43638, True, 967, 14, (1566933133, 1566933193), 19),
    ],
)
def test_examples_of_aws_of_tcp_flags(
    port: int, outbound: bool, size: int, packets: int, when: tuple[int, int], flags: int
) -> None:
    """Bytes come before packets here, and flags of one window are OR-ed; accepted, none refused."""
    ends, ports = ("52.213.180.42", SERVER), (port, 5001)
    if outbound:
        ends, ports = ends[::-1], ports[::-1]
    line = (
        f"{IN_VPC} {ENI} 123456789010 IPv4 {ends[0]} {ends[1]} {ports[0]} {ports[1]} "
        f"{ends[0]} {ends[1]} 6 {size} {packets} {when[0]} {when[1]} ACCEPT {flags} OK"
    )
    found = parse(line, FLAGS)
    assert found == Record(
        ENI,
        "ACCEPT",
        *when,
        packets,
        size,
        flags,
        6,
        ports[0],
        ports[1],
        (ends[0],) * 2,
        (ends[1],) * 2,
    )
    assert isinstance(found, Record)
    assert not found.refused


def test_an_example_of_aws_with_two_spaces() -> None:
    """One line of AWS's page has two spaces in it: no line of a file has, so it is malformed."""
    line = (
        f"{IN_VPC} {ENI} 123456789010 IPv4 {SERVER} 52.213.180.42 5001 43638  {SERVER} "
        "52.213.180.42 6 967 14 1566933133 1566933193 ACCEPT 19 OK"
    )
    assert parse(line, FLAGS) == Malformed("22 fields where the format has 21")


@pytest.mark.parametrize(
    ("ends", "real"),
    [
        (("10.0.1.5", "10.0.0.220"), ("10.0.1.5", "203.0.113.5")),
        (("10.0.0.220", "203.0.113.5"), ("10.0.0.220", "203.0.113.5")),
        (("203.0.113.5", "10.0.0.220"), ("203.0.113.5", "10.0.0.220")),
        (("10.0.0.220", "10.0.1.5"), ("203.0.113.5", "10.0.1.5")),
    ],
)
def test_examples_of_aws_of_a_nat_gateway(ends: tuple[str, str], real: tuple[str, str]) -> None:
    """A gateway's interface has its own address in between; the packet's own come after it."""
    line = f"- {ENI} {ends[0]} {ends[1]} {real[0]} {real[1]} {WHEN} ACCEPT"
    found = parse(line, NAT)
    assert isinstance(found, Record)
    assert (found.interface_id, found.start, found.end) == (ENI, *AT)
    assert (found.sources, found.targets) == ((ends[0], real[0]), (ends[1], real[1]))
    assert (found.packets, found.source_port) == (None, None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "3 eni-33333333333333333 123456789010 vpc-abcdefab012345678 "
            "subnet-22222222bbbbbbbbb i-01234567890123456 10.20.33.164 10.40.2.236 39812 80 6 3 "
            "IPv4 10.20.33.164 10.40.2.236 ACCEPT OK",
            (3, ("10.20.33.164", "10.20.33.164"), ("10.40.2.236", "10.40.2.236")),
        ),
        (
            "3 eni-11111111111111111 123456789010 vpc-abcdefab012345678 "
            "subnet-11111111aaaaaaaaa - 10.40.1.175 10.40.2.236 39812 80 6 3 "
            "IPv4 10.20.33.164 10.40.2.236 ACCEPT OK",
            (3, ("10.40.1.175", "10.20.33.164"), ("10.40.2.236", "10.40.2.236")),
        ),
        (
            "3 eni-22222222222222222 123456789010 vpc-abcdefab012345678 "
            "subnet-22222222bbbbbbbbb - 10.40.2.236 10.40.2.31 80 39812 6 19 "
            "IPv4 10.40.2.236 10.20.33.164 ACCEPT OK",
            (19, ("10.40.2.236", "10.40.2.236"), ("10.40.2.31", "10.20.33.164")),
        ),
    ],
    ids=["at the server", "into the VPC", "out of the VPC"],
)
def test_examples_of_aws_of_a_transit_gateway(line: str, expected: tuple[object, ...]) -> None:
    """A transit gateway's interface hides the client; pkt-srcaddr and pkt-dstaddr show it."""
    found = parse(f"{line} {WHEN}", TRANSIT)
    assert isinstance(found, Record)
    assert (found.tcp_flags, found.sources, found.targets) == expected


def test_examples_of_aws_of_paths_and_services() -> None:
    """Version 5: what comes in has no traffic path, what goes out has."""
    incoming = (
        f"5 {S3} 10.0.0.71 80 34210 6 1616729292 1616729349 IPv4 14 15044 {THERE} {ENI} "
        f"ap-southeast-2 apse2-az3 - - ACCEPT 19 {S3} 10.0.0.71 S3 - - ingress OK"
    )
    outgoing = (
        f"5 10.0.0.71 {S3} 34210 80 6 1616729292 1616729349 IPv4 7 471 {THERE} {ENI} "
        f"ap-southeast-2 apse2-az3 - - ACCEPT 3 10.0.0.71 {S3} - S3 8 egress OK"
    )
    when, client, server = (1616729292, 1616729349), ("10.0.0.71",) * 2, (S3,) * 2
    assert parse(incoming, PATHS) == Record(
        ENI, "ACCEPT", *when, 14, 15044, 19, 6, 80, 34210, server, client
    )
    assert parse(outgoing, PATHS) == Record(
        ENI, "ACCEPT", *when, 7, 471, 3, 6, 34210, 80, client, server
    )
