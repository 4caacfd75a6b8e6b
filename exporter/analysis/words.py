"""Moments, clients and records as sentences have them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from exporter.analysis.clients import Client, Port
from exporter.analysis.rules import network_text, protocol_name
from exporter.model import Rejected


def clock(at: float, now: float) -> str:
    """Return a moment in UTC: the time, and the date unless it is today's."""
    moment = datetime.fromtimestamp(at, UTC)
    same = moment.date() == datetime.fromtimestamp(now, UTC).date()
    return moment.strftime("%H:%M:%S UTC" if same else "%Y-%m-%d %H:%M:%S UTC")


def port(at: Port) -> str:
    """Return a port with its protocol: tcp 443."""
    return f"{protocol_name(at.protocol)} {at.number}"


def client(of: Client) -> str:
    """Return a client by its address, and its interface where that is seen."""
    text = network_text(of.network)
    return f"{text} ({of.interface.id})" if of.interface else text


def others(count: int, noun: str = "client") -> str:
    """Return `, nor 3 other clients` for what is not named; nothing without any."""
    return f" and {count} more {noun}{'s' if count > 1 else ''}" if count else ""


def records(of: Client, now: float, most: int = 3) -> list[str]:
    """Return what flow logs told of a client, a text each."""
    found = [rejected(row, now) for row in of.rejected[:most]]
    seen = of.accepted
    if seen is not None:
        ways = [
            f"{way} {clock(at, now)}"
            for way, at in (("in", seen.inbound), ("out", seen.outbound))
            if at is not None
        ]
        found.append(f"flow log: {seen.address} ACCEPT, last {' and '.join(ways)}")
    return found


def rejected(row: Rejected, now: float) -> str:
    """Return a rejected client as a sentence about its records."""
    protocol = "" if row.protocol is None else f" {protocol_name(row.protocol)}"
    at = f"{protocol} {row.port}" if row.port is not None else protocol
    way = "answers to" if row.direction == "from_endpoint" else "from"
    where = " at the client's interface" if row.side == "client" else ""
    flags = f" ({row.packets.upper()})" if row.packets else ""
    return (
        f"flow log: REJECT{flags} {way} {row.address},{at or ' port not told'}{where}: "
        f"{row.count} record{'s' if row.count != 1 else ''}, last {clock(row.last, now)}"
    )


def several(texts: Sequence[str], most: int = 5) -> list[str]:
    """Return the first of some texts, each once, and how many more there are."""
    once = list(dict.fromkeys(texts))
    more = len(once) - most
    return once if more <= 0 else [*once[:most], f"and {more} more"]
