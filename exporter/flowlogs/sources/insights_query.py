"""The query that counts records in Logs Insights, and what a row of its result says.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from exporter.flowlogs.formats import Format, from_log_format
from exporter.flowlogs.sources.pushdown import Bins, refused

_MINUTE = "bin(1m)"


class _Names(NamedTuple):
    """What the query calls a layout's fields; None for those that the layout lacks."""

    interface_id: str
    action: str
    ends: tuple[str, ...]
    bytes: str | None
    packets: str | None
    tcp_flags: str | None
    log_status: str | None


# As AWS's list of discovered fields has them; the console has been seen to say `end`. A name
# that is not there has no value.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html
_DISCOVERED = _Names(
    "interfaceId", "action", ("endTime", "end"), "bytes", "packets", None, "logStatus"
)


def query(layout: Format, interfaces: Iterable[str]) -> str:
    """Return the query that counts the records of these interfaces.

    Lines of the default format are taken apart by Logs Insights itself, others by `parse`. The
    grouping by TCP flags is what tells refused connections: there is no counting on a condition.
    """
    names = _names(layout)
    steps = []
    wanted = ",".join(f'"{interface_id}"' for interface_id in interfaces)
    condition = f"{names.interface_id} in [{wanted}]"
    if names is not _DISCOVERED:
        stars = " ".join("*" for _ in layout.fields)
        fields = ",".join(f"f{i}" for i in range(len(layout.fields)))
        steps.append(f'parse @message "{stars}" as {fields}')
        # The last star takes what is left of a line, also of one with more fields.
        condition += f" and f{len(layout.fields) - 1} not like / /"
    sums = ["count(*) as records"]
    sums += [f"sum({names.bytes}) as total_bytes"] if names.bytes else []
    sums += [f"sum({names.packets}) as total_packets"] if names.packets else []
    sums += [f"max({end}) as newest{i}" for i, end in enumerate(names.ends)]
    keys = [_MINUTE, names.interface_id, names.action, names.log_status, names.tcp_flags]
    steps.append(f"filter {condition}")
    steps.append(f"stats {', '.join(sums)} by {', '.join(k for k in keys if k)}")
    return " | ".join(steps)


def _names(layout: Format) -> _Names:
    if layout.fields == from_log_format("").fields:
        return _DISCOVERED

    def name(position: int | None) -> str | None:
        return None if position is None else f"f{position}"

    return _Names(
        f"f{layout.interface_id}",
        f"f{layout.action}",
        (f"f{layout.end}",),
        name(layout.bytes),
        name(layout.packets),
        name(layout.tcp_flags),
        name(layout.log_status),
    )


def add(bins: Bins, layout: Format, row: Mapping[str, str]) -> None:
    """Count a row of the query's result, unless it says that there was nothing to count."""
    names = _names(layout)
    for i in range(len(names.ends)):
        if row.get(f"newest{i}"):
            bins.seen(_whole(row[f"newest{i}"]))
    status = row.get(names.log_status, "") if names.log_status else "OK"
    flags = row.get(names.tcp_flags, "-") if names.tcp_flags else "-"
    if status != "OK" or not (flags in ("-", "") or flags.isdecimal()):
        return
    action, records = row.get(names.action, "-"), _whole(row["records"])
    bins.add(
        int(datetime.fromisoformat(row[_MINUTE]).replace(tzinfo=UTC).timestamp()),
        row[names.interface_id],
        action,
        records,
        _whole(row.get("total_bytes")),
        _whole(row.get("total_packets")),
        records if flags.isdecimal() and refused(action, int(flags)) else 0,
    )


def _whole(text: str | None) -> int:
    """Return the whole number of a cell, which may be written as 1.2E10; 0 when there is none."""
    try:
        return int(Decimal(text or 0))
    except (InvalidOperation, OverflowError) as error:
        raise ValueError(f"not a number: {text!r}") from error
