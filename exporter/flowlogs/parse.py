"""One line → one record, or why there is none. A bad line never touches its neighbours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from exporter.flowlogs.formats import Format
from exporter.model import Action

_SYN = 2
_ACK = 16
_INTERFACE = re.compile(r"eni-[0-9a-f]+")
# Seconds stay below this for 3,000 years; milliseconds have been above it since 1973.
_MILLISECONDS_FROM = 100_000_000_000
# No window carries so much; and the sum of a page of such records still fits into 64 bits.
_LARGEST = 2**48


@dataclass(frozen=True, slots=True)
class Record:
    """A flow record; `start` and `end` in seconds, None for what the format lacks or did not fill.

    `refused_connection` is None where the format does not tell the TCP flags.
    """

    interface_id: str
    action: Action
    start: int
    end: int
    packets: int | None
    bytes: int | None
    refused_connection: bool | None


@dataclass(frozen=True, slots=True)
class Gap:
    """A line that says that there is nothing to say: no traffic, or records that were skipped."""

    kind: Literal["no_data", "skip_data"]
    interface_id: str
    end: int | None


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is not of the layout, and what is wrong with it."""

    reason: str


Line: TypeAlias = Record | Gap | Malformed


def parse(line: str, layout: Format) -> Line:
    """Return what a line of that layout says."""
    tokens = line.rstrip("\r\n").split(" ")
    if len(tokens) != len(layout.fields):
        return Malformed(f"{len(tokens)} fields where the format has {len(layout.fields)}")
    for i in layout.numeric:
        token = tokens[i]
        if token != "-" and not (token.isascii() and token.isdecimal() and len(token) < 20):  # noqa: S105
            return Malformed(f"{layout.fields[i]} is not a number")
    interface_id = tokens[layout.interface_id]
    if interface_id != "-" and not _INTERFACE.fullmatch(interface_id):
        return Malformed("interface-id is not an interface's id")

    start, end = _seconds(tokens[layout.start]), _seconds(tokens[layout.end])
    status = None if layout.log_status is None else tokens[layout.log_status]
    action = tokens[layout.action]
    if status == "SKIPDATA":
        return Gap("skip_data", interface_id, end)
    # A format without log-status says NODATA by an action of "-".
    if status == "NODATA" or (status is None and action == "-"):
        return Gap("no_data", interface_id, end)
    if status not in ("OK", None):
        return Malformed("log-status is none of OK, NODATA, SKIPDATA")
    if action not in ("ACCEPT", "REJECT"):
        return Malformed("action is neither ACCEPT nor REJECT")
    if start is None or end is None or end < start:
        return Malformed("start and end are no interval")
    packets, size = _number(tokens, layout.packets), _number(tokens, layout.bytes)
    if (packets or 0) > _LARGEST or (size or 0) > _LARGEST:
        return Malformed("packets or bytes beyond any interface")
    return Record(
        interface_id,
        "ACCEPT" if action == "ACCEPT" else "REJECT",
        start,
        end,
        packets,
        size,
        _refused(tokens, layout),
    )


def _refused(tokens: list[str], layout: Format) -> bool | None:
    """Whether a SYN went without an ACK; flags of one window come OR-ed. None: not told."""
    if layout.tcp_flags is None:
        return None
    flags = _number(tokens, layout.tcp_flags) or 0
    return bool(flags & _SYN) and not flags & _ACK and tokens[layout.action] == "REJECT"


def _number(tokens: list[str], position: int | None) -> int | None:
    if position is None or tokens[position] == "-":
        return None
    return int(tokens[position])


def _seconds(token: str) -> int | None:
    if token == "-":  # noqa: S105  # a token of a line, not a secret
        return None
    value = int(token)
    return value // 1000 if value >= _MILLISECONDS_FROM else value
