"""One line → one record, or why there is none. A bad line never touches its neighbours.

This is what a line means. `columns.py` reads whole slices at once and must say the same.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from exporter.flowlogs.formats import Format
from exporter.model import Action

SYN, ACK = 2, 16
# Seconds stay below this for 3,000 years; milliseconds have been above it since 1973.
MILLISECONDS_FROM = 100_000_000_000
# No window carries so much; and the sum of a page of such records still fits into 64 bits.
LARGEST = 2**48
# What is longer is no number that AWS writes; it stands for any that is too large.
_DIGITS, _TOO_LARGE = 18, 2**62


class Record(NamedTuple):
    """A flow record; `start` and `end` in seconds.

    None, or nothing, for what the format lacks or did not fill. `sources` and `targets` are the
    addresses of the two ends, pkt-* ones after the interface's own.
    """

    interface_id: str
    action: Action
    start: int
    end: int
    packets: int | None = None
    bytes: int | None = None
    tcp_flags: int | None = None
    protocol: int | None = None
    source_port: int | None = None
    target_port: int | None = None
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether a SYN without an ACK was rejected; flags of one window come OR-ed."""
        flags = self.tcp_flags or 0
        return self.action == "REJECT" and bool(flags & SYN) and not flags & ACK

    @property
    def nonsense(self) -> str | None:
        """Why its numbers cannot be; None when they can."""
        if not self.start <= self.end < _TOO_LARGE:
            return "start and end are no interval"
        if (self.packets or 0) > LARGEST or (self.bytes or 0) > LARGEST:
            return "packets or bytes beyond any interface"
        return None


class Gap(NamedTuple):
    """A line that says that there is nothing to say: no traffic, or records that were skipped."""

    kind: Literal["no_data", "skip_data"]
    interface_id: str
    end: int | None


class Malformed(NamedTuple):
    """A line that is not of the layout, and what is wrong with it."""

    reason: str


Line: TypeAlias = Record | Gap | Malformed


def parse(line: str, layout: Format) -> Line:
    """Return what a line of that layout says."""
    tokens = line.rstrip("\r\n").split(" ")
    if len(tokens) != len(layout.fields):
        return Malformed(f"{len(tokens)} fields where the format has {len(layout.fields)}")
    if "" in tokens:
        return Malformed("an empty field")
    for i in layout.numeric:
        if tokens[i] != "-" and not (tokens[i].isascii() and tokens[i].isdecimal()):
            return Malformed(f"{layout.fields[i]} is not a number")
    interface_id = tokens[layout.interface_id]
    if interface_id != "-" and not interface_id.startswith("eni-"):
        return Malformed("interface-id is not an interface's id")

    start, end = seconds(tokens[layout.start]), seconds(tokens[layout.end])
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
    if start is None or end is None:
        return Malformed("start and end are no interval")
    return Record(
        interface_id,
        "ACCEPT" if action == "ACCEPT" else "REJECT",
        start,
        end,
        _number(tokens, layout.packets),
        _number(tokens, layout.bytes),
        _number(tokens, layout.tcp_flags),
        _number(tokens, layout.protocol),
        _number(tokens, layout.source_port),
        _number(tokens, layout.target_port),
        tuple(tokens[i] for i in layout.sources),
        tuple(tokens[i] for i in layout.targets),
    )


def _number(tokens: list[str], position: int | None) -> int | None:
    return None if position is None else number(tokens[position])


def number(token: str) -> int | None:
    """Return the number that a token of digits is, something too large for too many of them."""
    if token == "-":  # noqa: S105  # a token of a line, not a secret
        return None
    return int(token) if len(token) <= _DIGITS else _TOO_LARGE


def seconds(token: str) -> int | None:
    """Return the whole seconds of a stamp in seconds or milliseconds; None for none."""
    value = number(token)
    return value // 1000 if value is not None and MILLISECONDS_FROM <= value < _TOO_LARGE else value
