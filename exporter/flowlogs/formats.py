"""The layout of flow-log lines, read from LogFormat or a header and never guessed.

https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

DEFAULT = (
    "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} "
    "${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}"
)
_FIELD = re.compile(r"\$\{([a-z0-9-]+)\}")
_NAME = re.compile(r"[a-z][a-z0-9-]*")
NUMERIC = frozenset(
    [
        "version",
        "srcport",
        "dstport",
        "protocol",
        "packets",
        "bytes",
        "start",
        "end",
        "tcp-flags",
        "traffic-path",
        "encryption-status",
    ]
)
# Without these no record can be put down to an endpoint.
NEEDED = ("interface-id", "action", "start", "end")
# A line of names is a header when one of these is among them: a record has numbers there.
TELLING = frozenset(["version", "start", "end", "packets", "bytes", "srcport", "dstport"])


class UnusableFormat(ValueError):  # noqa: N818  # names what it is
    """Raised when lines of a layout cannot be counted; says which field is missing."""


@dataclass(frozen=True, slots=True)
class Format:
    """A layout: the fields in order, and where those stand that are read.

    Two are equal when their fields are. A position is None for what the layout lacks.
    """

    fields: tuple[str, ...]
    numeric: tuple[int, ...] = field(compare=False)
    interface_id: int = field(compare=False)
    action: int = field(compare=False)
    start: int = field(compare=False)
    end: int = field(compare=False)
    packets: int | None = field(compare=False)
    bytes: int | None = field(compare=False)
    tcp_flags: int | None = field(compare=False)
    log_status: int | None = field(compare=False)
    protocol: int | None = field(compare=False)
    source_port: int | None = field(compare=False)
    target_port: int | None = field(compare=False)
    # Where the two addresses stand; pkt-* ones too, which show what a NAT or a secondary address
    # hides.
    sources: tuple[int, ...] = field(compare=False)
    targets: tuple[int, ...] = field(compare=False)


@lru_cache(maxsize=1024)
def from_log_format(text: str) -> Format:
    """Return the layout that a flow log's LogFormat describes; empty means the default.

    Fields that this exporter does not know are carried past. Raises UnusableFormat without the
    fields that no count can do without, or when the text is no list of fields.
    """
    text = text.strip() or DEFAULT
    fields = tuple(_FIELD.findall(text))
    if " ".join(f"${{{name}}}" for name in fields) != text:
        raise UnusableFormat(f"not a list of ${{fields}}: {text!r}")
    return from_fields(fields)


@lru_cache(maxsize=1024)
def from_fields(fields: tuple[str, ...]) -> Format:
    """Return the layout with these fields in this order; raises UnusableFormat."""
    if len(set(fields)) != len(fields):
        raise UnusableFormat("a field is listed twice")
    position = {name: i for i, name in enumerate(fields)}
    missing = [name for name in NEEDED if name not in position]
    if missing:
        raise UnusableFormat(f"the format lacks {', '.join(missing)}")

    def among(*names: str) -> tuple[int, ...]:
        return tuple(position[name] for name in names if name in position)

    return Format(
        fields=fields,
        numeric=tuple(i for i, name in enumerate(fields) if name in NUMERIC),
        interface_id=position["interface-id"],
        action=position["action"],
        start=position["start"],
        end=position["end"],
        packets=position.get("packets"),
        bytes=position.get("bytes"),
        tcp_flags=position.get("tcp-flags"),
        log_status=position.get("log-status"),
        protocol=position.get("protocol"),
        source_port=position.get("srcport"),
        target_port=position.get("dstport"),
        sources=among("srcaddr", "pkt-srcaddr"),
        targets=among("dstaddr", "pkt-dstaddr"),
    )


def header_of(line: str) -> tuple[str, ...] | None:
    """Return the fields that a header line of a file names; None for any other line.

    One word by itself is what is left of a line, not a header that all behind it is read by.
    """
    names = tuple(line.rstrip("\r\n").split(" "))
    if (
        len(names) == 1
        or TELLING.isdisjoint(names)
        or not all(_NAME.fullmatch(name) for name in names)
    ):
        return None
    return names


def header(line: bytes) -> tuple[str, ...] | None:
    """Return the fields that a line of a file names if it is a header."""
    try:
        return header_of(line.decode("ascii"))
    except UnicodeDecodeError:
        return None
