"""By which source each flow log is read, and why: that is for people to see."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from exporter.flowlogs.attribute import (
    ANY,
    ATHENA,
    CLOUDWATCH,
    INSIGHTS,
    S3,
    SOURCES,
    Allowed,
    unreadable,
)
from exporter.flowlogs.sources import athena
from exporter.model import FlowLog

QUERIES = (INSIGHTS, ATHENA)


class Pick(NamedTuple):
    """The source of a flow log, empty when nothing reads it, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration says of flow logs; times in seconds.

    `budget` is how long a pass may last before it begins nothing more. Queries are asked only
    within `dollars_per_day`; those of Athena where `athena` says. Counting begins `history` before
    a flow log is first seen.
    """

    interval: float = 60.0
    lookback: float = 1800.0
    budget: float = 60.0
    allowed: Allowed = ANY
    dollars_per_day: float = 0.0
    athena: athena.Settings | None = None
    history: float = 0.0


def speaker(flow_log_id: str, source: str) -> str:
    """Return the name by which a flow log is chosen when it is read by that source."""
    return f"{flow_log_id}/{source}" if source in QUERIES else flow_log_id


def pick(
    flow_log: FlowLog,
    settings: Settings,
    neighbours: Collection[str],
    behind: float | None,
    before: str,
    notified: bool = False,
) -> Pick:
    """Return the source of a flow log.

    `neighbours` are the other flow logs that deliver to the same log group. `behind` is how many
    seconds reading lines is behind without catching up, None where it keeps up; `before` the
    source that was picked last, empty without; `notified` whether a queue tells of its files.
    """
    why = unreadable(flow_log, settings.allowed)
    source = settings.allowed.of(flow_log)
    if why:
        return Pick("", why)
    lines, query = SOURCES[flow_log.destination_type]
    if lines == CLOUDWATCH:
        how = "log events are read"
    else:
        how = "files that a queue told of are read" if notified else "files are listed and read"
    if source == lines:
        return Pick(lines, f"configured; {how}")
    why_not = no_query(query, settings, neighbours)
    if source == query:
        return Pick(query, "configured") if why_not is None else Pick("", why_not)
    if why_not is None and before == query:
        return Pick(query, "a query counted it before, and goes on; `sources` may say otherwise")
    if behind is None:
        return Pick(lines, f"{how} line by line: that is exact")
    late = f"reading is {behind / 60:.0f} min behind and does not catch up"
    if why_not is None:
        return Pick(query, f"{late}; a query counts where the logs are")
    return Pick(lines, f"{late}; no query is asked instead: {why_not}")


def no_query(query: str, settings: Settings, neighbours: Collection[str]) -> str | None:
    """Return why a query cannot be asked; None when it can."""
    if settings.dollars_per_day <= 0:
        return "budget_dollars_per_day is 0, and AWS bills queries by volume"
    if query == ATHENA and settings.athena is None:
        return "collectors.flow_logs.athena is not configured"
    if query == INSIGHTS and neighbours:
        return f"the log group also holds the lines of {', '.join(sorted(neighbours))}"
    return None


__all__ = [
    "ATHENA",
    "CLOUDWATCH",
    "INSIGHTS",
    "QUERIES",
    "S3",
    "Pick",
    "Settings",
    "no_query",
    "pick",
    "speaker",
]
