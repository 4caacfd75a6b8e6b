"""What Logs Insights and Athena have in common: bins of records, waiting, failing, prices."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from exporter.flowlogs.formats import Format

# The prices of most Regions. Where a GB is 2^30 bytes, this errs on the dear side.
# https://aws.amazon.com/cloudwatch/pricing/
INSIGHTS_DOLLARS_PER_GB = 0.005
# https://aws.amazon.com/athena/pricing/
ATHENA_DOLLARS_PER_TB = 5.0
ATHENA_LEAST_BYTES_PER_QUERY = 10 * 2**20
_GB, _TB = 10**9, 10**12

_INTERFACE = re.compile(r"eni-[0-9a-f]+")
_COUNTED = ("ACCEPT", "REJECT")
_SYN, _ACK = 2, 16
# How long a question is polled without any of its queries coming to an end, in seconds.
PATIENCE = 600.0
_SHORTEST, _LONGEST, _GROWTH = 0.25, 5.0, 1.5


class QueryFailed(RuntimeError):  # noqa: N818  # names what happened
    """Raised when a query cannot be asked or ends without a result; says why.

    A RuntimeError, so whoever handles `AWS_ERRORS` handles it as a call that failed.
    """


class Incomplete(QueryFailed):
    """Raised when a result is cut off at its limit and nothing is left to split."""


class Bin(NamedTuple):
    """The records of one interface and action whose start is in one minute.

    `minute` is the minute's first second. `bytes`, `packets` are None where the format lacks
    them, `refused` (REJECT with SYN and without ACK) where it has no tcp-flags.
    """

    minute: int
    interface_id: str
    action: str
    records: int
    bytes: int | None
    packets: int | None
    refused: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """All bins of a question, in order, each key once, and what it took.

    `newest` is the largest end, in seconds, of the records that the question is about, NODATA
    and SKIPDATA too; None without any. `scanned` in bytes. `queries` are those that are billed.
    """

    bins: tuple[Bin, ...]
    newest: float | None
    scanned: int
    queries: int


@dataclass(slots=True)
class Meter:
    """What one question has used so far: also known when it fails, as AWS bills that as well.

    `scanned` has the bytes by query.
    """

    queries: int = 0
    scanned: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """The bytes of all queries."""
        return sum(self.scanned.values())


def dollars(source: Literal["insights", "athena"], scanned: int, queries: int = 1) -> float:
    """Return about what AWS bills for queries that scanned so many bytes together."""
    if source == "insights":
        return scanned / _GB * INSIGHTS_DOLLARS_PER_GB
    return max(scanned, queries * ATHENA_LEAST_BYTES_PER_QUERY) / _TB * ATHENA_DOLLARS_PER_TB


def checked(interfaces: Iterable[str]) -> tuple[str, ...]:
    """Return the interface ids in order, each once; raises QueryFailed for what is none."""
    found = tuple(sorted(set(interfaces)))
    for interface_id in found:
        if not _INTERFACE.fullmatch(interface_id):
            raise QueryFailed(f"not an interface's id: {interface_id!r}")
    return found


def earliest(first: float, since: float) -> int:
    """Return the first whole second that is in the window and not before `since`."""
    return max(math.ceil(first), math.ceil(since))


class Pause:
    """The pauses between polls: longer and longer until something ends.

    Raises QueryFailed when nothing has ended for `patience` seconds.
    """

    def __init__(self, sleep: Callable[[float], object], patience: float) -> None:
        self._sleep = sleep
        self._patience = patience
        self.reset()

    def reset(self) -> None:
        """Something has ended: ask again soon."""
        self._delay, self._waited = _SHORTEST, 0.0

    def wait(self) -> None:
        """Sleep until the next poll."""
        if self._waited >= self._patience:
            raise QueryFailed(f"no result after {self._waited:.0f} s")
        self._sleep(self._delay)
        self._waited += self._delay
        self._delay = min(self._delay * _GROWTH, _LONGEST)


class Bins:
    """Adds up rows of results to bins; a row may be a part of a bin."""

    def __init__(self, layout: Format) -> None:
        self._layout = layout
        self._sums: dict[tuple[int, str, str], list[int]] = {}
        self._newest: float | None = None

    def seen(self, end: float) -> None:
        """Note the end of a record, counted or not."""
        self._newest = end if self._newest is None else max(end, self._newest)

    def add(self, minute: int, interface_id: str, action: str, *sums: int) -> None:
        """Add records, bytes, packets and refused connections; only ACCEPT and REJECT count."""
        if action not in _COUNTED:
            return
        so_far = self._sums.setdefault((minute, interface_id, action), [0, 0, 0, 0])
        for i, value in enumerate(sums):
            so_far[i] += value

    def answer(self, meter: Meter) -> Answer:
        """Return what has been added up."""
        layout = self._layout
        told = (True, *(i is not None for i in (layout.bytes, layout.packets, layout.tcp_flags)))
        bins = []
        for key, sums in sorted(self._sums.items()):
            records, size, packets, refused = (
                value if there else None for value, there in zip(sums, told, strict=True)
            )
            bins.append(Bin(*key, records or 0, size, packets, refused))
        return Answer(tuple(bins), self._newest, meter.total, meter.queries)


def refused(action: str, flags: int) -> bool:
    """Whether a record with these OR-ed TCP flags is of a connection that was refused."""
    return action == "REJECT" and bool(flags & _SYN) and not flags & _ACK
