"""Lines: each one's fate, and that a bad one leaves its neighbours alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.flowlogs.formats import DEFAULT, UnusableFormat, from_log_format
from exporter.flowlogs.parse import Gap, Malformed, Record, parse

V2 = from_log_format(DEFAULT)
CUSTOM = from_log_format("${action} ${tcp-flags} ${end} ${interface-id} ${start} ${new-field}")
OK = "2 111122223333 eni-0a1 10.0.0.1 10.0.0.2 49152 443 6 10 840 1700000000 1700000060 ACCEPT OK"


def test_the_default_format() -> None:
    """A line of version 2 gives its record; the format has no TCP flags to tell."""
    assert parse(OK, V2) == Record("eni-0a1", "ACCEPT", 1700000000, 1700000060, 10, 840, None)
    assert parse(OK + "\r\n", V2) == parse(OK, V2)
    assert from_log_format("") == V2


def test_a_custom_order_and_fields_not_known_here() -> None:
    """Fields are found by the format; one that AWS adds later is carried past."""
    line = "REJECT 2 1700000060 eni-0a1 1700000000 whatever"
    assert parse(line, CUSTOM) == Record(
        "eni-0a1", "REJECT", 1700000000, 1700000060, None, None, True
    )


@pytest.mark.parametrize(
    ("flags", "refused"), [("2", True), ("3", True), ("18", False), ("0", False), ("-", False)]
)
def test_a_syn_without_an_ack_is_a_refused_connection(flags: str, refused: bool) -> None:
    """SYN (2) without ACK (16): a connection that was refused, not a packet that came late."""
    line = parse(f"REJECT {flags} 1700000060 eni-0a1 1700000000 -", CUSTOM)
    assert isinstance(line, Record)
    assert line.refused_connection is refused


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


@pytest.mark.parametrize(
    "line",
    [
        "",
        OK.replace(" 6 ", "  6 "),
        OK + " ",
        OK.rpartition(" ")[0],
        OK.replace("443", "https"),
        OK.replace(" 10 ", " -1 "),
        OK.replace(" 10 ", " \u0661\u0660 "),
        OK.replace(" 10 ", " 99999999999999999999 "),
        OK.replace(" 10 ", " 9999999999999999999 "),
        OK.replace("ACCEPT", "ALLOW"),
        OK.replace("ACCEPT", "-"),
        OK.replace(" OK", " FINE"),
        OK.replace("eni-0a1", "i-0a1"),
        OK.replace("1700000060", "1600000000"),
        OK.replace("1700000000", "-"),
        '"' + OK + '"',
    ],
)
def test_malformed(line: str) -> None:
    """Whatever is not of the layout is malformed, never a record with shifted fields."""
    assert isinstance(parse(line, V2), Malformed)


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    """Any text has a fate; none raises."""
    parse(text, V2)
    parse(f"{OK} {text}", V2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${start} ${end} ${interface-id}", "lacks action"),
        ("${start} ${end} ${action}", "lacks interface-id"),
        ("start end", "not a list"),
        (DEFAULT + " ${start}", "listed twice"),
    ],
)
def test_a_format_without_what_counting_needs(text: str, message: str) -> None:
    """A format that cannot be counted says which field is missing."""
    with pytest.raises(UnusableFormat, match=message):
        from_log_format(text)
