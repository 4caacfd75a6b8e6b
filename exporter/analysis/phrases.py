"""How spans of time and lists are put into sentences."""

from __future__ import annotations

from collections.abc import Iterable


def age(seconds: float) -> str:
    """Return a span in the largest unit that it has two of, else one smaller."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} seconds"


def some(things: Iterable[object], most: int = 5) -> str:
    """Return things as a list in words; of many the first ones, and how many more there are."""
    found = [str(thing) for thing in things]
    if len(found) > most:
        return f"{', '.join(found[:most])} and {len(found) - most} more"
    *before, last = found
    return f"{', '.join(before)} and {last}" if before else last
