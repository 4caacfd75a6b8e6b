"""Who is measured: each does one job on the same files, and each run's result is checked."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.bench.flowlogs.estate import Answer


class WrongAnswerError(Exception):
    """Raised when a contender's result is not the expected one; the text says where."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A job over so many records, and what it has to return."""

    name: str
    records: int
    run: Callable[[], Any]
    expected: Any


def differences(got: Answer, expected: Answer, most: int = 3) -> str:
    """Return the first differences between two answers, one a line."""
    found = [
        f"{key}: {got.counts.get(key)} instead of {expected.counts.get(key)}"
        for key in sorted(got.counts.keys() | expected.counts.keys())
        if got.counts.get(key) != expected.counts.get(key)
    ]
    if got.no_data != expected.no_data:
        found.insert(0, f"NODATA: {got.no_data} instead of {expected.no_data}")
    more = [f"and {len(found) - most} more"] if len(found) > most else []
    return "\n  ".join(found[:most] + more)


def timed(contender: Contender) -> float:
    """Return the seconds of one run. Raises WrongAnswerError."""
    began = time.perf_counter()
    got = contender.run()
    taken = time.perf_counter() - began
    if got != contender.expected:
        both = isinstance(got, Answer) and isinstance(contender.expected, Answer)
        why = (
            differences(got, contender.expected)
            if both
            else f"{got!r} instead of {contender.expected!r}"
        )
        raise WrongAnswerError(f"{contender.name} is wrong:\n  {why}")
    return taken


def rates(contenders: list[Contender], runs: int) -> dict[str, float]:
    """Return the median records/s of each, after one round that only warms up.

    A round runs every contender once, each round begins with another one, so that whatever else
    the machine does hits all alike. Raises WrongAnswerError.
    """
    for contender in contenders:
        timed(contender)
    taken: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(runs):
        first = number % len(contenders)
        for contender in contenders[first:] + contenders[:first]:
            taken[contender.name].append(timed(contender))
    return {c.name: c.records / statistics.median(taken[c.name]) for c in contenders}
