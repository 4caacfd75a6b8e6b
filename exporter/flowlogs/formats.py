"""The layout of flow-log lines, read from LogFormat and never guessed.

https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

DEFAULT = (
    "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} "
    "${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}"
)
_FIELD = re.compile(r"\$\{([a-z0-9-]+)\}")
_NUMERIC = frozenset(
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


class UnusableFormat(ValueError):  # noqa: N818  # names what it is
    """Raised when lines of a layout cannot be counted; says which field is missing."""


@dataclass(frozen=True, slots=True)
class Format:
    """A layout: the fields in order, and where those stand that are read."""

    fields: tuple[str, ...]
    numeric: tuple[int, ...]
    interface_id: int
    action: int
    start: int
    end: int
    packets: int | None
    bytes: int | None
    tcp_flags: int | None
    log_status: int | None


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
    if len(set(fields)) != len(fields):
        raise UnusableFormat("a field is listed twice")
    position = {name: i for i, name in enumerate(fields)}
    needed = ("interface-id", "action", "start", "end")
    missing = [name for name in needed if name not in position]
    if missing:
        raise UnusableFormat(f"the format lacks {', '.join(missing)}")
    return Format(
        fields=fields,
        numeric=tuple(i for i, name in enumerate(fields) if name in _NUMERIC),
        interface_id=position["interface-id"],
        action=position["action"],
        start=position["start"],
        end=position["end"],
        packets=position.get("packets"),
        bytes=position.get("bytes"),
        tcp_flags=position.get("tcp-flags"),
        log_status=position.get("log-status"),
    )
